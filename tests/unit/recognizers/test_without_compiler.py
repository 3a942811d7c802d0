"""torchvision without PyTorch's compiler, each time in an interpreter that has imported neither."""

import subprocess
import sys


def run(script: str) -> None:
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=120)
    assert finished.returncode == 0, finished.stderr


def test_torchvision_comes_without_the_compiler_and_whoever_asks_for_that_has_all_of_it() -> None:
    run("""
import sys
from recognizers.without_compiler import without_compiler

with without_compiler():
    import torchvision
assert not [name for name in sys.modules if name.startswith("torch._dynamo")]
function = torchvision.ops.roi_align.__globals__["is_compile_supported"]
assert function("cpu") in (True, False)
from torch._dynamo.utils import is_compile_supported
assert function("cpu") == is_compile_supported("cpu")
with without_compiler():
    from torch._dynamo.utils import counters
""")


def test_what_is_asked_of_the_compiler_meanwhile_is_its_own() -> None:
    run("""
import sys
from recognizers.without_compiler import without_compiler

with without_compiler():
    from torch._dynamo.utils import counters
    import timm
assert sys.modules["torch._dynamo.utils"].counters is counters
""")
