"""What error texts must not reveal: anyone can read them."""

import re
from collections.abc import Iterable, Iterator

from conformance.refusals import Refusal

MAX_TEXT = 500  # characters
# Forms, not words: a text may well speak of weights, faces or lines.
_INTERNALS = {
    "a traceback": r"Traceback \(|stack ?trace|\bFile \"[^\"]+\", line \d|^\s+at [\w.$<>]+ ?\(|panicked at|\bgoroutine \d",
    "a path": r"(?:^|[\s'\"(=:,])(?:/|~/|\.\.?/|[a-z]:\\|\\\\)[\w.-]+[/\\][\w./\\-]*|\bfile://",
    "a source file": r"\b[\w-]+\.(?:(?:py|go|rs|java|kt|cpp|cxx|hpp|mjs|so|dll)\b|(?:cc?|h|js|ts|cs|rb):\d)",
    "a checkpoint's name": r"\b[\w-]+\.(?:pt|pth|pkl|ckpt|h5|onnx|npz|npy|safetensors|tflite)\b",
    "an exception's name": r"(?-i:\b[A-Z]\w*(?:Error|Exception)\b)|\b\w+::\w+|\berrno\b|segmentation fault|\bwhat\(\):",
    "a library's inside": r"\btensors? of (?:shape|rank|size|dtype)\b|\b(?:torch|tf|keras|np|jax)\.\w+"
    r"|\bcu(?:da|dnn) error\b|\b(?:conv|layer|block|bn|fc)\d+(?:\.\w+)+",
    "an address": r"\b(?:\d{1,3}(?:\.\d{1,3}){3}|localhost|[a-z][\w-]*(?:\.[a-z][\w-]*)+):\d{2,5}\b|\]:\d{2,5}\b"
    r"|\b0x[0-9a-f]{6,}\b",
    "numbers in a row": r"(?:-?\d+\.\d+[,;\s]+){3}",
}
_PATTERNS = {name: re.compile(pattern, re.IGNORECASE | re.MULTILINE) for name, pattern in _INTERNALS.items()}
NUMBERS = _PATTERNS["numbers in a row"]


def leaks(refusals: Iterable[Refusal], *, sent: Iterable[str] = ()) -> Iterator[str]:
    """A sentence about everything in the texts of refusals that reveals the inside of a service.

    They may repeat what a client sent or the service lists: `sent`. What our own library says about a call that was not
    answered is ignored.
    """
    repeated = sorted((text for text in sent if text), key=len, reverse=True)
    for refusal in refusals:
        if not refusal.from_service:
            continue
        for leak in refusal.unexpected:
            yield f"{refusal.method} ({refusal.code.name}) carries {leak}"
        for text in dict.fromkeys(refusal.texts):
            yield from (f"{refusal.method} ({refusal.code.name}) reveals {leak}" for leak in _leaks_in(text, repeated))


def _leaks_in(text: str, repeated: Iterable[str]) -> Iterator[str]:
    if len(text) > MAX_TEXT:
        yield f"{len(text)} characters: {text[:60]!r}…"
    for known in repeated:
        text = text.replace(known, "…")
    for name, pattern in _PATTERNS.items():
        if (found := pattern.search(text)) is not None:
            yield f"{name}: {found.group(0).strip()!r}"
