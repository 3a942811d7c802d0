"""How cloaks are stored: the axis of an experiment on which compression is told from the rest."""

from dataclasses import dataclass

JPEG_QUALITY = 95  # a choice: the paper says JPEG only


@dataclass(frozen=True)
class Storage:
    """How cloaks are stored; `jpeg_quality` None means PNG."""

    jpeg_quality: int | None = JPEG_QUALITY

    @classmethod
    def stated(cls, text: str) -> "Storage":
        """From the words of a manifest, which are those of `str`.

        Raises:
            ValueError: they are none of these.
        """
        if text == "png":
            return cls(None)
        return cls(int(text.removeprefix("jpeg, quality ")))

    @property
    def suffix(self) -> str:
        return ".png" if self.jpeg_quality is None else ".jpg"

    def __str__(self) -> str:
        return "png" if self.jpeg_quality is None else f"jpeg, quality {self.jpeg_quality}"


LOSSLESS = Storage(None)
