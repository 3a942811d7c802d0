"""Methods as the libraries that people use today have them, on images in 0..1."""

from collections.abc import Callable, Mapping
from functools import partial

import foolbox
import numpy as np
import torch
import torchattacks
from art.attacks.evasion import BasicIterativeMethod
from art.estimators.classification import PyTorchClassifier
from torch import Tensor, nn

from recognizers.networks.recognizer import NeuralRecognizer

Attack = Callable[[Tensor, Tensor, int, int], None]  # images (N, 3, S, S), labels (N,), epsilon in levels, steps


class UnitRange(nn.Module):
    """A recognizer of images in 0..1."""

    def __init__(self, recognizer: NeuralRecognizer) -> None:
        super().__init__()
        self.recognizer = recognizer
        self.device = nn.Parameter(torch.zeros(1))  # torchattacks asks the model's parameters for it

    def forward(self, images: Tensor) -> Tensor:
        return self.recognizer.logits(images * 255)


def _torchattacks(attack_type: Callable[..., torchattacks.attack.Attack], recognizer: NeuralRecognizer) -> Attack:
    model = UnitRange(recognizer).eval()

    def attack(images: Tensor, labels: Tensor, epsilon: int, steps: int) -> None:
        attack_type(model, eps=epsilon / 255, alpha=1 / 255, steps=steps)(images, labels)

    return attack


def _foolbox(recognizer: NeuralRecognizer) -> Attack:
    model = foolbox.PyTorchModel(UnitRange(recognizer).eval(), bounds=(0, 1))

    def attack(images: Tensor, labels: Tensor, epsilon: int, steps: int) -> None:
        method = foolbox.attacks.LinfBasicIterativeAttack(abs_stepsize=1 / 255, steps=steps, random_start=False)
        method.run(model, images, foolbox.criteria.Misclassification(labels), epsilon=epsilon / 255)

    return attack


def _art(recognizer: NeuralRecognizer) -> Attack:
    side, classes = recognizer.input_size, len(recognizer.label_set)
    classifier = PyTorchClassifier(
        UnitRange(recognizer).eval(), nn.CrossEntropyLoss(), (3, side, side), classes, clip_values=(0, 1), device_type="cpu"
    )

    def attack(images: Tensor, labels: Tensor, epsilon: int, steps: int) -> None:
        method = BasicIterativeMethod(classifier, epsilon / 255, 1 / 255, steps, batch_size=len(images), verbose=False)
        method.generate(images.numpy(), np.eye(classes, dtype=np.float32)[labels.numpy()])

    return attack


# By method. torchattacks' TIFGSM diversifies its inputs, too; with this decay it has the momentum of `ti-di-mi`.
PEERS: Mapping[str, Mapping[str, Callable[[NeuralRecognizer], Attack]]] = {
    "bim": {"torchattacks": partial(_torchattacks, torchattacks.BIM), "foolbox": _foolbox, "ART": _art},
    "mi": {"torchattacks": partial(_torchattacks, torchattacks.MIFGSM)},
    "ti-di-mi": {"torchattacks": partial(_torchattacks, partial(torchattacks.TIFGSM, decay=1.0))},
}
