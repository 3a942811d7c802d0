"""The methods by which cloaks are crafted: pure tensor code, one method a file."""

from collections.abc import Mapping
from types import MappingProxyType

from protector_service.methods.bim import BasicIterativeMethod
from protector_service.methods.illc import IterativeLeastLikelyClass
from protector_service.methods.method import Method
from protector_service.methods.noise import RandomNoise
from protector_service.methods.none import NoCloak

METHODS: Mapping[str, Method] = MappingProxyType(
    {method.name: method for method in (BasicIterativeMethod(), IterativeLeastLikelyClass(), RandomNoise(), NoCloak())}
)
