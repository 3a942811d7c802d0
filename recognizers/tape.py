"""Runs a fused backbone forwards and backwards.

Autograd would sum gradients that meet in passes of their own. Here a convolution adds its dx to what has already arrived as
it computes it. Everything but convolutions is differentiated by autograd, a node at a time.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.fx import GraphModule, Node
from torch.fx.node import map_arg

from recognizers.frozen_convolution import FrozenConvolution
from recognizers.rectifier import rectifier_gradient


class TapedBackbone(nn.Module):
    """A backbone whose convolutions are `FrozenConvolution`s, differentiable in its images."""

    def __init__(self, backbone: GraphModule) -> None:
        super().__init__()
        self.backbone = backbone
        self._steps = _steps(backbone)

    def forward(self, images: Tensor) -> Tensor:
        """See `Network.forward`, without the normalisation."""
        features: Tensor = _Taped.apply(images, self._steps) if torch.is_grad_enabled() else self.backbone(images)
        return features


@dataclass(frozen=True)
class _Step:
    """A node of the graph, ready to run."""

    node: Node
    run: Callable[..., Any]
    done: Sequence[Node]  # values that nobody needs after it

    @property
    def convolution(self) -> FrozenConvolution | None:
        return self.run if isinstance(self.run, FrozenConvolution) else None


class _Taped(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, steps: Sequence[_Step]) -> Tensor:
        values: dict[Node, Any] = {_source(steps): images}
        alone: dict[Node, tuple[dict[Node, Tensor], Tensor]] = {}  # what autograd recorded: inputs and output
        rectified: dict[Node, Tensor] = {}
        for step in steps:
            node, convolution = step.node, step.convolution
            if convolution is None:
                values[node] = _run_alone(step, values, alone)
            else:
                values[node] = convolution(*map_arg(node.args, values.__getitem__))
                if convolution.rectified:
                    rectified[node] = values[node]
            for value in step.done:
                del values[value]
        ctx.steps, ctx.alone, ctx.rectified = steps, alone, list(rectified)
        ctx.save_for_backward(*rectified.values())
        output: Tensor = values[steps[-1].node]
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        rectified = dict(zip(ctx.rectified, ctx.saved_tensors, strict=True))
        arrived: dict[Node, Tensor] = {ctx.steps[-1].node: gradients[0]}
        for step in reversed(ctx.steps):
            node, convolution = step.node, step.convolution
            if node not in arrived:
                continue
            dy = arrived.pop(node)
            if convolution is None:
                inputs, output = ctx.alone.pop(node)
                dxs = torch.autograd.grad(output, list(inputs.values()), dy)
                for x, dx in zip(inputs, dxs, strict=True):
                    _add(arrived, x, dx)
            else:
                if convolution.rectified:
                    dy = rectifier_gradient(dy, rectified.pop(node))
                x, *others = node.all_input_nodes
                for other in others:
                    _add(arrived, other, dy)
                arrived[x] = convolution.input_gradient(dy, onto=arrived.get(x))
        return arrived[_source(ctx.steps)], None


def _add(arrived: dict[Node, Tensor], node: Node, gradient: Tensor) -> None:
    arrived[node] = arrived[node] + gradient if node in arrived else gradient


def _run_alone(step: _Step, values: dict[Node, Any], alone: dict[Node, tuple[dict[Node, Tensor], Tensor]]) -> Any:
    """A node's value; autograd records how it came from its inputs, and nothing before them."""
    node = step.node
    inputs: dict[Node, Tensor] = {}

    def leaf(argument: Node) -> Any:
        value = values[argument]
        if isinstance(value, Tensor) and argument.op != "get_attr":
            value = inputs.setdefault(argument, value.detach().requires_grad_(True))
        return value

    with torch.enable_grad():
        value = step.run(*map_arg(node.args, leaf), **map_arg(node.kwargs, leaf))
    if not isinstance(value, Tensor) or not value.requires_grad:
        return value
    alone[node] = (inputs, value)
    return value.detach()


def _source(steps: Sequence[_Step]) -> Node:
    """The images."""
    return steps[0].node.all_input_nodes[0]


def _steps(backbone: GraphModule) -> Sequence[_Step]:
    done = _last_users(backbone)
    return [
        _Step(node, _runs(backbone, node), done.get(node, ()))
        for node in backbone.graph.nodes
        if node.op not in ("placeholder", "output")
    ]


def _runs(backbone: GraphModule, node: Node) -> Callable[..., Any]:
    target = str(node.target)
    if node.op == "call_module":
        return backbone.get_submodule(target)
    if node.op == "call_method":
        return lambda this, *arguments, **keywords: getattr(this, target)(*arguments, **keywords)
    if node.op == "get_attr":
        parameter = backbone.get_parameter(target)
        return lambda: parameter
    assert callable(node.target)
    return node.target


def _last_users(backbone: GraphModule) -> dict[Node, list[Node]]:
    """By node, the values that nobody needs after it."""
    last: dict[Node, list[Node]] = {}
    seen: set[Node] = set()
    for node in reversed(backbone.graph.nodes):
        for source in node.all_input_nodes:
            if source not in seen:
                seen.add(source)
                last.setdefault(node, []).append(source)
    return last
