"""What the texts of an error must not hold: they reach whoever asks."""

import re
from collections.abc import Iterable, Iterator

from orchestrator.conformance.refusal import Refusal

LONGEST = 500  # characters
_INTERNALS = {
    "a traceback": r"Traceback|stack ?trace|\bat 0x[0-9a-f]{4,}|\bline \d+\b|^\s+at [\w.$]+\(|panicked at|goroutine \d",
    "a path": r"(?:^|[\s'\"(=:])(?:/|~/|\.\.?/|[A-Za-z]:\\|\\\\)[\w.-]+[/\\][\w./\\-]*|file://|\b[\w-]+/[\w-]+/[\w.-]+",
    "a source file": r"\b[\w-]+\.(?:py|go|rs|java|kt|cc?|cpp|cxx|hpp?|js|ts|cs|rb|so|dll)\b",
    "a checkpoint's name": r"\b[\w-]+\.(?:pt|pth|pkl|ckpt|h5|onnx|pb|bin|npz|npy|safetensors|tflite)\b",
    "an exception's name": r"(?-i:\b[A-Z]\w*(?:Error|Exception)\b)|\berrno\b|segmentation fault",
    "a network's internals": r"\b(?:tensor|torch|tensorflow|keras|onnx|cuda|cudnn|logits?|embeddings?|gradients?|weights?"
    r"|(?:conv|layer|block|bn|fc)\d+(?:\.\w+)*)\b",
    "an address": r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b|\b0x[0-9a-f]{6,}\b|\blocalhost:\d+",
    "numbers in a row": r"(?:-?\d+\.\d+[,;\s]+){3}",
}
_PATTERNS = {name: re.compile(pattern, re.IGNORECASE | re.MULTILINE) for name, pattern in _INTERNALS.items()}


def unclean(refusals: Iterable[Refusal], *, sent: Iterable[str] = ()) -> Iterator[str]:
    """A sentence on everything in the texts of refusals that tells of a service's inside.

    What a client sent may come back to it: `sent` is not looked at.
    """
    repeated = list(sent)
    for refusal in refusals:
        for fault in refusal.unexpected:
            yield f"{refusal.call} ({refusal.code.name}) carries {fault}"
        for text in dict.fromkeys(refusal.texts):
            yield from (f"{refusal.call} ({refusal.code.name}) tells {fault}" for fault in _faults(text, repeated))


def _faults(text: str, repeated: Iterable[str]) -> Iterator[str]:
    if len(text) > LONGEST:
        yield f"{len(text)} characters: {text[:60]!r}…"
    for known in repeated:
        text = text.replace(known, "…")
    for name, pattern in _PATTERNS.items():
        if (found := pattern.search(text)) is not None:
            yield f"{name}: {found.group(0).strip()!r}"
