"""What models, methods, regions and carriers are called where people read of them."""

from orchestrator.experiment.carrier import Carrier
from orchestrator.experiment.grid import ELSEWHERE, ENSEMBLE, members, network_of
from orchestrator.experiment.region import Region

TITLES = {
    "facenet": "FaceNet",
    "resnet50": "ResNet-50",
    "senet50": "SENet-50",
    "adaface-ir50": "AdaFace IR-50",
    "adaface-ir101": "AdaFace IR-101",
    "ir50": "IR-50",
    "ir152": "IR-152",
    "iresnet18": "IResNet-18",
    "iresnet34": "IResNet-34",
    "iresnet50": "IResNet-50",
    "iresnet100": "IResNet-100",
    "irse50": "IR-SE-50",
    "mobilefacenet": "MobileFaceNet",
    "compact-facenet": "compact FaceNet",
    "compact-resnet": "compact ResNet",
    "compact-senet": "compact SENet",
    ELSEWHERE: "another tool",
    "bim": "BIM",
    "fgsm": "FGSM",
    "illc": "ILLC",
    "pgd": "PGD",
}
REGIONS: dict[str, str] = {
    Region.DETECTED: "the face that the invader detects in the picture, resized to the target model’s input",
    Region.FULL: "the whole picture, resized to the target model’s input, without detection",
}
CARRIERS: dict[Carrier, str] = {
    Carrier.PROBE: "by the picture that is searched; the gallery is clean",
    Carrier.GALLERY: "by the person’s photos in the gallery; what is searched is another photo, as it is",
    Carrier.BOTH: "by the picture that is searched, and by the person’s photos in the gallery",
    Carrier.ADAPTIVE: "by the person’s photos in the gallery, and by copies of other people’s that are enrolled, too",
}


def title(name: str) -> str:
    """Of a model, an ensemble or a method; one that is not the paper's keeps its name."""
    return f" {ENSEMBLE} ".join(map(_title, members(name)))


def _title(name: str) -> str:
    network = network_of(name)
    return TITLES.get(name, name) if network not in TITLES or network == name else f"{TITLES[network]} features"
