"""The 1,000 ImageNet classes: their names, WordNet ids and ILSVRC2012 ids.

The ids are facts of the challenge's development kit (its map_clsloc.txt): it numbers the classes from 1 in an order of
its own, networks number them from 0 in the order of the WordNet ids.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

CLASSES = 1000
WORDNET_ID = re.compile(r"n[0-9]{8}")


@cache
def names() -> tuple[str, ...]:
    """The names of the classes, in the order of outputs (class 0 is tench); two names stand for two classes each."""
    return tuple(_lines("imagenet_labels.txt"))


@cache
def wordnet_ids() -> dict[str, int]:
    """The class of each WordNet id."""
    return {line.split()[0]: number for number, line in enumerate(_lines("imagenet_ids.txt"))}


@cache
def ilsvrc_ids() -> dict[int, int]:
    """The class of each id of ILSVRC2012's development kit, 1 to 1000 (1 is kit fox, class 278)."""
    return {int(line.split()[1]): number for number, line in enumerate(_lines("imagenet_ids.txt"))}


def _lines(file: str) -> list[str]:
    return (resources.files("edge_squeeze") / "data" / file).read_text("utf-8").splitlines()
