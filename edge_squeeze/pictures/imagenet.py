"""The 1,000 ImageNet classes: their names and WordNet ids, in the order of the outputs of networks."""

from __future__ import annotations

from functools import cache
from importlib import resources

CLASSES = 1000


def names() -> list[str]:
    """The names of the classes, in WordNet order (class 0 is tench); two names stand for two classes each."""
    return _lines("imagenet_labels.txt")


@cache
def wordnet_ids() -> dict[str, int]:
    """The class of each WordNet id: networks count the classes in the order of these ids."""
    return {wordnet_id: number for number, wordnet_id in enumerate(_lines("imagenet_wordnet_ids.txt"))}


def _lines(file: str) -> list[str]:
    return (resources.files("edge_squeeze") / "data" / file).read_text("utf-8").splitlines()
