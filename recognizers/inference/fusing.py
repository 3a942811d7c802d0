"""Rewrites a traced backbone so that each convolution takes over the steps around it."""

import operator
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Interpreter, Node

from recognizers.inference.channels import ChannelAffine, ChannelPrelu
from recognizers.inference.excited_convolution import ExcitedConvolution, saves_passes
from recognizers.inference.frozen_convolution import FrozenConvolution, can_freeze
from recognizers.inference.fused_layer import FusedLayer
from recognizers.inference.pooling import PooledMaximum, can_pool
from recognizers.inference.squeeze import Excitation, ExcitedFeatures, excited

_ADDITIONS: tuple[Callable[..., Any], ...] = (operator.add, operator.iadd, torch.add)
_PRODUCTS: tuple[Callable[..., Any], ...] = (operator.mul, operator.imul, torch.mul)
_SHAPE = "shape"  # of a node's value, in its meta
_RECTIFIERS: tuple[Callable[..., Any], ...] = (torch.relu, torch.relu_, nn.functional.relu)


def give_each_call_its_module(backbone: GraphModule) -> None:
    """A module that is called several times becomes as many, because what follows it is not the same each time."""
    called: set[str] = set()
    for node in backbone.graph.nodes:
        if node.op != "call_module":
            continue
        if node.target in called:
            own = f"{node.target}_{node.name}"
            backbone.add_submodule(own, deepcopy(backbone.get_submodule(node.target)))
            node.target = own
        called.add(node.target)
    backbone.recompile()


def fold_scales(backbone: GraphModule) -> None:
    """A convolution whose result is multiplied by a constant takes it into its weights."""
    for node in list(backbone.graph.nodes):
        if node.target not in _PRODUCTS:
            continue
        sources = [source for source in node.all_input_nodes if _is_module(backbone, source, nn.Conv2d)]
        scales = [argument for argument in node.args if isinstance(argument, float)]
        if len(sources) == len(scales) == 1 and list(sources[0].users) == [node]:
            with torch.no_grad():
                for parameter in backbone.get_submodule(sources[0].target).parameters():
                    parameter.mul_(scales[0])
            _bypass(node, sources[0])
    backbone.recompile()


def replace_norms(backbone: GraphModule) -> None:
    """A BatchNorm that no convolution has taken over becomes the `ChannelAffine` that it is in evaluation mode."""
    for node in backbone.graph.nodes:
        norm = _module(backbone, node)
        if isinstance(norm, nn.BatchNorm2d) and norm.running_var is not None and norm.weight is not None:
            backbone.set_submodule(node.target, ChannelAffine(norm))


def fuse_convolutions(backbone: GraphModule, images: Tensor) -> None:
    """Convolutions become `FusedLayer`s that add and relu, where these follow and nothing else does; PReLUs, too.

    So do pools of maxima, which take over a rectifier before them.

    Those that `FrozenConvolution` does not stand for stay as they are.

    `images` (N, 3, S, S) is an input of the size and type that the backbone will see.
    """
    with torch.no_grad():
        _ShapeRecorder(backbone).run(images)
    for node in list(backbone.graph.nodes):
        if _is_module(backbone, node, nn.Identity) or _is_module(backbone, node, nn.Dropout):
            _bypass(node, node.args[0])
    _write_nothing_in_place(backbone)
    for node in backbone.graph.nodes:
        module = _module(backbone, node)
        if isinstance(module, nn.PReLU) and len(node.meta[_SHAPE]) == 4:
            module = ChannelPrelu(module)
            backbone.set_submodule(node.target, module)
        if isinstance(module, FusedLayer):
            node.args = (*node.args, None)  # nothing is added
    for node in list(backbone.graph.nodes):
        pool = _module(backbone, node)
        if can_pool(pool):
            before = node.args[0]
            rectified = _rectifies(backbone, before) and _only_user(before) is node
            backbone.set_submodule(node.target, PooledMaximum(pool, rectified=rectified, x=before.meta[_SHAPE]))
            node.args = (*node.args, None)  # nothing is added
            if rectified:
                _bypass(before, before.args[0])
    convolutions = [node for node in backbone.graph.nodes if _is_frozen(backbone, node)]
    to_excite = {node for node in convolutions if _excites(backbone, node)}
    for node in convolutions:
        if node not in to_excite:
            last, other, rectified = _tail(backbone, node)
            x, y = node.args[0].meta[_SHAPE], node.meta[_SHAPE]
            frozen = FrozenConvolution(_convolution(backbone, node), rectified=rectified, x=x, y=y)
            backbone.set_submodule(node.target, frozen)
            _take_over(last, "call_module", node.target, (*node.args, other))
    for node in [node for node in backbone.graph.nodes if node.target is excited]:
        source, *weights = node.args
        last, other, rectified = _tail(backbone, node)
        excitation = Excitation(*(weight and backbone.get_parameter(weight.target) for weight in weights))
        if source in to_excite:
            x, y = source.args[0].meta[_SHAPE], source.meta[_SHAPE]
            layer = ExcitedConvolution(_convolution(backbone, source), excitation, rectified=rectified, x=x, y=y)
            backbone.set_submodule(source.target, layer)
            _take_over(last, "call_module", source.target, (*source.args, other))
        else:
            backbone.add_submodule(node.name, ExcitedFeatures(excitation, rectified=rectified))
            _take_over(last, "call_module", node.name, (source, other))
    backbone.graph.eliminate_dead_code()
    backbone.recompile()


def _write_nothing_in_place(backbone: GraphModule) -> None:
    """A step's input may be wanted again: by another step, or by its own gradient."""
    for module in backbone.modules():
        if getattr(module, "inplace", False):
            module.inplace = False  # type: ignore[assignment]
    for node in backbone.graph.nodes:
        if node.kwargs.get("inplace"):
            node.update_kwarg("inplace", False)
        if node.op == "call_function":
            node.target = _out_of_place(node.target)
        elif node.op == "call_method" and node.users and callable(getattr(Tensor, node.target.removesuffix("_"), None)):
            node.target = node.target.removesuffix("_")


def _out_of_place(function: Callable[..., Any]) -> Callable[..., Any]:
    name = getattr(function, "__name__", "")
    for library in (torch, nn.functional):
        if getattr(library, name, None) is function:
            result: Callable[..., Any] = getattr(library, name.removesuffix("_"), function)
            return result
    return function


def _is_frozen(backbone: GraphModule, node: Node) -> bool:
    return _is_module(backbone, node, nn.Conv2d) and can_freeze(_convolution(backbone, node))


def _excites(backbone: GraphModule, node: Node) -> bool:
    """Whether a convolution is better run as an `ExcitedConvolution`."""
    user = _only_user(node)
    return user is not None and user.target is excited and saves_passes(_convolution(backbone, node), node.meta[_SHAPE])


def _take_over(last: Node, kind: str, target: Any, arguments: tuple[Any, ...]) -> None:
    """A node of its own runs in the place of a step and of what follows it up to `last`."""
    with last.graph.inserting_after(last):
        taken_over = last.graph.create_node(kind, target, arguments)
    taken_over.meta = last.meta
    _bypass(last, taken_over)


def _convolution(backbone: GraphModule, node: Node) -> nn.Conv2d:
    convolution = backbone.get_submodule(str(node.target))
    assert isinstance(convolution, nn.Conv2d)
    return convolution


def _tail(backbone: GraphModule, node: Node) -> tuple[Node, Node | None, bool]:
    """The last of what a node takes over; what is added to it, if anything; whether the sum is rectified."""
    last, other = node, None
    user = _only_user(last)
    if user is not None and user.target in _ADDITIONS and not user.kwargs:
        others = [argument for argument in user.args if argument is not node]
        if len(others) == 1 and isinstance(others[0], Node) and others[0].meta.get(_SHAPE) == node.meta[_SHAPE]:
            last, other = user, others[0]
    user = _only_user(last)
    rectified = user is not None and _rectifies(backbone, user)
    return (user if rectified and user is not None else last), other, rectified


def _rectifies(backbone: GraphModule, node: Node) -> bool:
    return node.target in _RECTIFIERS or _is_module(backbone, node, nn.ReLU)


class _ShapeRecorder(Interpreter):
    """Notes at each node the shape of its value. torch.fx's own ShapeProp imports sympy, for shapes that are not numbers."""

    def run_node(self, n: Node) -> Any:
        value = super().run_node(n)
        if isinstance(value, Tensor):
            n.meta[_SHAPE] = value.shape
        return value


def _only_user(node: Node) -> Node | None:
    return next(iter(node.users)) if len(node.users) == 1 else None


def _is_module(backbone: GraphModule, node: Any, kind: type[nn.Module]) -> bool:
    return isinstance(node, Node) and isinstance(_module(backbone, node), kind)


def _module(backbone: GraphModule, node: Node) -> nn.Module | None:
    """The module that a node calls, if it calls one."""
    return backbone.get_submodule(str(node.target)) if node.op == "call_module" else None


def _bypass(node: Node, instead: Node) -> None:
    node.replace_all_uses_with(instead, delete_user_cb=lambda user: user is not instead)
    if not node.users:
        node.graph.erase_node(node)
