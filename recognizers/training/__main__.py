"""`python -P -m recognizers.training`: makes the embedded recognizers anew."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click
import torch

from command_line.memory import limit_note
from command_line.options import PathOption
from command_line.program import EXIT_STATUS, run_program
from recognizers.checkpoints.embedded import FOLDER, IDENTITIES
from recognizers.checkpoints.labels import LABELS, read_labels
from recognizers.checkpoints.loading import load_recognizer
from recognizers.checkpoints.model_card import card_path
from recognizers.errors import RecognizerError
from recognizers.extraction import MtcnnDetector
from recognizers.networks.compact import CompactFaceNet, CompactResNet, CompactSENet
from recognizers.networks.label_set import LabelSet
from recognizers.networks.network import Network
from recognizers.training.augmentation import PROBE_SIDES
from recognizers.training.card import save_weights, write_card
from recognizers.training.held_out import Accuracy, accuracy
from recognizers.training.loop import Recipe, new_classifier, train
from recognizers.training.photographs import HELD_OUT, TRAINING_FROM, FacePhotograph, prepare_photographs, read_photographs
from synthetic_faces import RENDERER, Population

# Each network starts from other weights and sees the photographs in another order. The residual ones fit more slowly.
RECIPES: dict[type[Network], Recipe] = {
    CompactFaceNet: Recipe(seed=11, epochs=6, batch=48, dropout=0.2),
    CompactResNet: Recipe(seed=22, epochs=9, batch=32, dropout=0.0),
    CompactSENet: Recipe(seed=33, epochs=9, batch=32, dropout=0.0),
}
BY_NAME: dict[str, type[Network]] = {network.name: network for network in RECIPES}


@click.command(epilog=EXIT_STATUS)
@click.argument("networks", nargs=-1, type=click.Choice(list(BY_NAME)))
@click.option("--identities", type=click.IntRange(2, 9999), default=IDENTITIES, help="People to know: the first ones.")
@click.option("--photographs", type=click.IntRange(1, 5000), default=32, help="To train on, of each identity.")
@click.option("--epochs", type=click.IntRange(1, 1000), help="Views of every photograph.  [default: each network's own]")
@click.option(
    "--seed", type=click.IntRange(0, 2**31 - 1), help="Of weights, order and views.  [default: each network's own]"
)
@click.option("--work", type=PathOption(), default=Path("build/training"), help="For photographs and unfinished training.")
@click.option("--out", type=PathOption(), default=FOLDER, help="For weights and cards.")
def cli(
    networks: Sequence[str],
    *,
    identities: int,
    photographs: int,
    epochs: int | None,
    seed: int | None,
    work: Path,
    out: Path,
) -> None:
    """Train NETWORKS (all three where none is named) on the synthetic population.

    What was interrupted goes on from the last whole epoch.
    """
    population = Population(identities)
    label_set = LabelSet(population.names)
    work.mkdir(parents=True, exist_ok=True)
    out.mkdir(parents=True, exist_ok=True)
    numbers = range(TRAINING_FROM, TRAINING_FROM + photographs)
    _write_labels(out / LABELS, label_set)
    faces = f"{RENDERER}-{population.seed}"
    training = _photographs(work / f"photographs-{faces}-{photographs}", population, numbers)
    held_out = _photographs(work / f"held-out-{faces}", population, HELD_OUT)
    trained_on = {
        "renderer": RENDERER,
        "population_seed": population.seed,
        "photographs_of_each": photographs,
        "faces_found": len(training),
        "photograph_numbers": f"{numbers.start}..{numbers.stop - 1}",
        "held_out_numbers": f"{HELD_OUT.start}..{HELD_OUT.stop - 1}",
    }
    for network in (BY_NAME[name] for name in networks or BY_NAME):
        own = RECIPES[network]
        recipe = replace(own, seed=own.seed if seed is None else seed, epochs=epochs or own.epochs)
        state = work / f"{network.name}-{recipe.seed}.state.pt"
        model = new_classifier(network, label_set, recipe)
        curve = []
        for result in train(model, training, recipe, state=state):
            click.echo(
                f"{network.name} epoch {result.epoch:2d}/{recipe.epochs}: loss {result.loss:.3f}, top-1 of the augmented "
                f"training views {result.training_top_1:5.1f} %, {result.seconds:.0f} s"
            )
            curve.append(result)
        weights = out / f"{network.name}.safetensors"
        card_path(weights).unlink(missing_ok=True)  # it describes the weights that are replaced now
        save_weights(model, weights)
        write_card(weights, model, recipe, curve, _accuracies(weights, held_out), trained_on=trained_on)
        state.unlink(missing_ok=True)


def _write_labels(file: Path, label_set: LabelSet) -> None:
    if file.exists() and read_labels(file) != label_set:
        raise RecognizerError(f"{file}: names other people than are to be trained for; give another folder with --out")
    file.write_text("\n".join(label_set.identities) + "\n", encoding="utf-8")


def _photographs(folder: Path, population: Population, numbers: range) -> list[FacePhotograph]:
    label = f"photographs {numbers.start}..{numbers.stop - 1}"
    with click.progressbar(length=population.identities, label=label) as progress:
        for done in prepare_photographs(folder, population, numbers, processes=torch.get_num_threads()):
            progress.update(done - progress.pos)
    return read_photographs(folder, population)


def _accuracies(weights: Path, held_out: Sequence[FacePhotograph]) -> dict[int, Accuracy]:
    """By the side of the probe: of the file, in the precision that is kept."""
    recognizer = load_recognizer(weights).recognizer
    detector = MtcnnDetector(torch.device("cpu"))
    found = {}
    for side in PROBE_SIDES:
        found[side] = seen = accuracy(recognizer, held_out, detector, side=side)
        click.echo(
            f"{recognizer.name} held out, probes of {side} pixels: top-1 {seen.top_1_percent} %, "
            f"top-5 {seen.top_5_percent} %, faces found in {seen.faces_found} of {seen.photographs}"
        )
    return found


def main() -> None:
    """Runs the command line; errors are one line, without a stack trace."""
    run_program(cli, interrupted="interrupted; the same command goes on from the last whole epoch", note=limit_note())


if __name__ == "__main__":
    main()
