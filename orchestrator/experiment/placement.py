"""What a cloak is of: the axis on which the paper's crop is told from a photo as somebody would publish it."""

from enum import StrEnum


class Placement(StrEnum):
    """What a cloak is of."""

    CROP = "crop"  # the face crop at the source model's input size: the paper's
    PHOTO = "photo"  # the photo at its own size, of which the box of the face changes
