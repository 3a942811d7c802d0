"""torchvision without PyTorch's compiler, whose import takes most of a service's start and which nothing here uses."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

_COMPILER = "torch._dynamo.utils"


class _Deferred(ModuleType):
    """Stands for the compiler's module until something of it is called."""

    @staticmethod
    def is_compile_supported(device: str) -> bool:
        """What torchvision imports, and calls only where a region of interest is aligned."""
        supported: bool = import_module(_COMPILER).is_compile_supported(device)
        return supported

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # the import system looks for some that a module need not have
            raise AttributeError(name)
        if sys.modules.get(_COMPILER) is self:
            del sys.modules[_COMPILER]
        return getattr(import_module(_COMPILER), name)


@contextmanager
def without_compiler() -> Iterator[None]:
    """Within it, importing torchvision, or what imports it, does not import the compiler.

    torchvision says of its own use of the compiler that it "avoids eagerly importing dynamo", and imports it for the name of
    one function. Whatever else is asked of the compiler meanwhile imports it as ever.
    """
    if _COMPILER in sys.modules:
        yield
        return
    deferred = sys.modules[_COMPILER] = _Deferred(_COMPILER)
    try:
        yield
    finally:
        if sys.modules.get(_COMPILER) is deferred:
            del sys.modules[_COMPILER]
