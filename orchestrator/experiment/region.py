"""What of a cloak the target models see: the axis on which resizing without detection is told from the normal path."""

from enum import StrEnum


class Region(StrEnum):
    """What of a cloak the target models see."""

    DETECTED = "detected"  # the face that the invader finds in it, as in any photo
    FULL = "full"  # all of it, resized to the target model's input size
