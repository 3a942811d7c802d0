"""The rule of `extraction.py` in words: what the services say of it, from the constants that it goes by."""

from recognizers.extraction import FACES_ACROSS, LEAST_PROBABILITY, SMALLEST_FACE, SQUARE_SCALE, THRESHOLDS

EXTRACTION_RULE = (
    f"MTCNN, thresholds {', '.join(map(str, THRESHOLDS))}, faces of max({SMALLEST_FACE}, min(height, width) / "
    f"{FACES_ACROSS}) pixels and more; of those of probability {LEAST_PROBABILITY} or more the largest box, ties by "
    f"probability; the square of {SQUARE_SCALE} times its longer side around its centre, shifted into the photo; "
    "resized bilinearly, antialiased"
)
