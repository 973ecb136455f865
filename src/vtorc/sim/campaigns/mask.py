"""Makes sentences of different runs alike, although times, positions and counts differ."""

import re

_GTIDS = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?::\d+(?:-\d+)?)*"
_MASKS = (
    (re.compile(r"\bsince \d{4}-\d\d-\d\dT[\d:]+Z"), "since TIME"),
    (re.compile(rf"\b{_GTIDS}(?:, ?{_GTIDS})*"), "GTIDS"),
    (re.compile(r"\b[0-9a-f]{8}…(?::\d+(?:-\d+)?)+"), "GTIDS"),
    (re.compile(r"<[0-9a-f]+:\d+ \w+\([^)]*\)>"), "TRANSACTION"),
    (re.compile(r"/locks/\d+"), "/locks/N"),
    (re.compile(r"\b\d+(?:\.\d+)? s\b"), "N s"),
    (re.compile(r"\b\d+ transactions?\b"), "N transactions"),
    (re.compile(r"\btried \d+ times\b"), "tried N times"),
)


def mask(sentence: str) -> str:
    """Replace times, positions and counts by words."""
    for pattern, stand_in in _MASKS:
        sentence = pattern.sub(stand_in, sentence)
    return sentence
