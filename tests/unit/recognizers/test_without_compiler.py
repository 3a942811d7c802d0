"""torchvision without PyTorch's compiler, in an interpreter that has imported neither."""

import subprocess
import sys

SCRIPT = """
import sys
from types import ModuleType
from recognizers.without_compiler import without_compiler

COMPILER = "torch._dynamo.utils"

with without_compiler():
    import torchvision
assert not [name for name in sys.modules if name.startswith("torch._dynamo")], "torchvision comes without the compiler"

function = torchvision.ops.roi_align.__globals__["is_compile_supported"]
sys.modules[COMPILER] = ModuleType(COMPILER)
sys.modules[COMPILER].is_compile_supported = "supported on {}".format
assert function("cpu") == "supported on cpu", "what torchvision asks, the compiler answers"
del sys.modules[COMPILER]

with without_compiler():
    from torch._dynamo.utils import counters
    import timm
assert sys.modules[COMPILER].counters is counters, "what is asked of the compiler meanwhile is its own"

from torch._dynamo.utils import is_compile_supported
assert function("cpu") == is_compile_supported("cpu"), "whoever asks for the compiler has all of it"
"""


def test_torchvision_comes_without_the_compiler_and_whoever_asks_for_that_has_all_of_it() -> None:
    finished = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False, timeout=120)
    assert finished.returncode == 0, finished.stderr
