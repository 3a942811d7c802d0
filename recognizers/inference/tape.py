"""Runs a fused backbone forwards and backwards.

Autograd would sum gradients that meet in passes of their own. Here a layer adds its dx to what has already arrived as it
computes it, in its place where nothing else holds that. What is no layer is differentiated by autograd, a node at a time.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.fx import GraphModule, Interpreter, Node
from torch.fx.node import map_arg

from recognizers.inference.fused_layer import FusedLayer
from recognizers.inference.rectifier import rectifier_gradient


class ManualBackward(nn.Module):
    """A backbone of `FusedLayer`s and whatever else, differentiable in its images."""

    def __init__(self, backbone: GraphModule) -> None:
        super().__init__()
        self.backbone = backbone
        self._steps = _steps(backbone)

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = _Taped.apply(images, self._steps) if torch.is_grad_enabled() else self.backbone(images)
        return features


@dataclass(frozen=True)
class _Step:
    """A node of the graph, ready to run."""

    node: Node
    run: Callable[[tuple[Any, ...], dict[str, Any]], Any]  # with its arguments
    layer: FusedLayer | None
    inputs: tuple[Any, ...]  # of a layer: the nodes of x and of what it adds, or None
    done: Sequence[Node]  # values that nobody needs after it


class _Taped(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, steps: Sequence[_Step]) -> Tensor:
        ctx.source = next(node for node in steps[0].node.graph.nodes if node.op == "placeholder")
        values: dict[Node, Any] = {ctx.source: images}
        alone: dict[Node, tuple[dict[Node, Tensor], Tensor]] = {}  # what autograd recorded: inputs and output
        records: dict[Node, tuple[Tensor, ...]] = {}  # a layer's, and its output where that is rectified
        for step in steps:
            node, layer = step.node, step.layer
            if layer is None:
                values[node] = _run_alone(step, values, alone)
            else:
                x, other = step.inputs
                y, record = layer.recorded(values[x], None if other is None else values[other])
                values[node], records[node] = y, (*record, y) if layer.rectified else record
            for value in step.done:
                del values[value]
        ctx.steps, ctx.alone = steps, alone
        ctx.lengths = {node: len(record) for node, record in records.items()}
        held = [tensor.detach() for inputs, output in alone.values() for tensor in (*inputs.values(), output)]
        ctx.save_for_backward(*chain.from_iterable(records.values()), *held)  # held too, where memory is counted
        output: Tensor = values[steps[-1].node]
        return output

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        saved = iter(ctx.saved_tensors)
        records = {node: tuple(islice(saved, length)) for node, length in ctx.lengths.items()}
        arrived = _Arrived()
        arrived.add(ctx.steps[-1].node, gradients[0], shared=True)
        for step in reversed(ctx.steps):
            node, layer = step.node, step.layer
            dy, shared = arrived.take(node)
            if dy is None:
                continue
            if layer is None:
                if node not in ctx.alone:
                    continue  # it does not depend on the images, or not differentiably
                inputs, output = ctx.alone.pop(node)
                with torch.enable_grad():
                    seed = _Seed.apply(output, dy)
                dxs = torch.autograd.grad(seed, list(inputs.values()))
                for x, dx in zip(inputs, dxs, strict=True):
                    arrived.add(x, dx, shared=True)
                continue
            record = records.pop(node)
            if layer.rectified:
                record, y = record[:-1], record[-1]
                dy, shared = rectifier_gradient(dy, y, overwrite=not shared), False
            x, other = step.inputs  # which may be the same
            onto, onto_shared = arrived.take(x)
            arrived.add(x, layer.input_gradient(dy, record, onto=onto, overwrite=not onto_shared), shared=False)
            if other is not None:
                arrived.add(other, dy, shared=shared)
        return arrived.take(ctx.source)[0], None


class _Seed(torch.autograd.Function):
    """A scalar whose gradient in `output` is `dy`.

    `torch.autograd.grad` takes such a gradient itself, and imports sympy to compare two shapes.
    """

    @staticmethod
    def forward(ctx: Any, output: Tensor, dy: Tensor) -> Tensor:
        ctx.save_for_backward(dy)
        return output.new_zeros(())

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> tuple[Tensor | None, ...]:
        return (*ctx.saved_tensors, None)


class _Arrived:
    """By node, the sum of the gradients that have arrived there, and whether something else may hold that tensor."""

    def __init__(self) -> None:
        self._sums: dict[Node, tuple[Tensor, bool]] = {}

    def take(self, node: Node) -> tuple[Tensor | None, bool]:
        return self._sums.pop(node, (None, True))

    def add(self, node: Node, gradient: Tensor, *, shared: bool) -> None:
        sum_, sum_shared = self.take(node)
        if sum_ is None:
            self._sums[node] = gradient, shared
        else:
            self._sums[node] = sum_ + gradient if sum_shared else sum_.add_(gradient), False


def _run_alone(step: _Step, values: dict[Node, Any], alone: dict[Node, tuple[dict[Node, Tensor], Tensor]]) -> Any:
    """A node's value; autograd records how it came from its inputs, and nothing before them."""
    node = step.node
    inputs: dict[Node, Tensor] = {}

    def leaf(argument: Node) -> Any:
        value = values[argument]
        if isinstance(value, Tensor) and value.is_floating_point() and argument.op != "get_attr":
            value = inputs.setdefault(argument, value.detach().requires_grad_(True))
        return value

    with torch.enable_grad():
        value = step.run(map_arg(node.args, leaf), map_arg(node.kwargs, leaf))
    if not isinstance(value, Tensor):
        if isinstance(value, Sequence) and any(isinstance(each, Tensor) and each.requires_grad for each in value):
            raise TypeError(f"{node}: expected each step of the network to give one tensor, got {len(value)}")
        return value
    if not value.requires_grad:
        return value
    alone[node] = (inputs, value)
    return value.detach()


def _steps(backbone: GraphModule) -> Sequence[_Step]:
    interpreter = Interpreter(backbone)
    steps = []
    for node in backbone.graph.nodes:
        if node.op not in ("placeholder", "output"):
            module = backbone.get_submodule(node.target) if node.op == "call_module" else None
            run = partial(getattr(interpreter, node.op), node.target)
            layer = module if isinstance(module, FusedLayer) else None
            steps.append(_Step(node, run, layer, node.args, interpreter.user_to_last_uses.get(node, ())))
    return steps
