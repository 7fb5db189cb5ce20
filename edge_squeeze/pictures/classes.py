"""Which class a name, a WordNet id or a number stands for."""

from __future__ import annotations

import difflib
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from edge_squeeze.errors import UsageError
from edge_squeeze.pictures import imagenet

MOST_NAMED = 10  # classes that match nothing
ALIKE = 0.9  # of the names, for 1,000 classes to be ImageNet's


def fold(name: str) -> str:
    """`name` without what people change when they make a folder of it: case, and the marks between words."""
    return re.sub(r"[\s_\-]+", " ", name).strip().casefold()


def first(name: str) -> str:
    """The first of several names: `tench` of `tench, Tinca tinca`."""
    return name.partition(",")[0]


class ClassNames:
    """The classes of a network, found by their names and WordNet ids."""

    def __init__(self, names: Sequence[str]) -> None:
        """Take the `names` of the classes in the order of the outputs."""
        self.names = tuple(names)
        self._exact: dict[str, list[int]] = defaultdict(list)
        self._folded: dict[str, list[int]] = defaultdict(list)
        for number, name in enumerate(names):
            self._exact[name].append(number)
            for form in {fold(name), fold(first(name))}:
                self._folded[form].append(number)
        self.are_imagenet = self._are_imagenet()
        self._wordnet = imagenet.wordnet_ids() if self.are_imagenet else self._wordnet_by_name()

    def __len__(self) -> int:
        return len(self.names)

    def _are_imagenet(self) -> bool:
        if len(self.names) != imagenet.CLASSES:
            return False
        pairs = zip(imagenet.names(), self.names, strict=True)
        return sum(fold(first(ours)) == fold(first(name)) for ours, name in pairs) >= ALIKE * imagenet.CLASSES

    def _wordnet_by_name(self) -> dict[str, int]:
        """The WordNet ids of those classes that have the name of one of ImageNet's."""
        names = imagenet.names()
        counts = Counter(names)
        matches = {key: self._folded.get(fold(names[number]), []) for key, number in imagenet.wordnet_ids().items()}
        return {
            key: classes[0]
            for key, classes in matches.items()
            if len(classes) == 1 and counts[names[imagenet.wordnet_ids()[key]]] == 1
        }

    def find(self, text: str) -> int | None:
        """The class that `text` names, or is the WordNet id of; None if there is none.

        UsageError if several classes have that name.
        """
        for forms, key in ((self._exact, text), (self._folded, fold(text)), (self._folded, fold(first(text)))):
            if key in forms:
                return self._only(forms[key], text)
        return self._wordnet.get(text)

    def _only(self, classes: Sequence[int], text: str) -> int:
        if len(classes) > 1:
            numbers = " and ".join(map(str, classes))
            raise UsageError(
                f"{text!r} is the name of the classes {numbers}. Required: a name that one class has. "
                "Use WordNet ids, or the numbers of the outputs."
            )
        return classes[0]

    def nearest(self, text: str) -> str | None:
        """The name of the class that is spelled most like `text`."""
        near = difflib.get_close_matches(fold(text), self._folded, n=1, cutoff=0.5)
        return self.names[self._folded[near[0]][0]] if near else None


@dataclass(frozen=True)
class Reading:
    """Which class each of several texts stands for."""

    classes: Mapping[str, int]
    remarks: tuple[str, ...] = ()


def read(texts: Collection[str], known: ClassNames, place: str, remedy: str) -> Reading:
    """The classes that `texts` stand for, all of them names and WordNet ids, or all of them numbers.

    UsageError for those that match nothing, with the nearest, and for numbers that can be read in two ways.

    Args:
        texts: What stands for the classes.
        known: The classes.
        place: Where the texts stand, for messages.
        remedy: What to do about numbers that can be read in two ways.
    """
    matches = {text: known.find(text) for text in texts}
    if matches and all(number is None and text.isdecimal() for text, number in matches.items()):
        base, remarks = count_from({int(text) for text in texts}, known, place, remedy)
        return Reading({text: int(text) - base for text in texts}, remarks)
    if wrong := [text for text, number in matches.items() if number is None]:
        raise unmatched(wrong, known, place)
    classes = {text: number for text, number in matches.items() if number is not None}
    confusable = all(map(str.isdecimal, classes)) and any(int(text) != number for text, number in classes.items())
    return Reading(classes, (f"{place}: read as names of classes, not as numbers of outputs",) if confusable else ())


def count_from(numbers: Collection[int], known: ClassNames, place: str, remedy: str) -> tuple[int, tuple[str, ...]]:
    """0 or 1, whichever `numbers` of classes count from, and what to say of it; UsageError if they do not show it."""
    count = len(known)
    check_range(numbers, count, place)
    if 0 in numbers:
        return 0, ()
    if count in numbers and not known.are_imagenet:
        return 1, (f"{place}: the numbers count from 1, since {count:,} is among them and 0 is not",)
    if count in numbers:
        raise UsageError(
            f"{place}: the numbers may be the model's outputs, counted from 1, or ILSVRC2012's own ids, whose order "
            f"differs. {remedy}"
        )
    raise UsageError(
        f"{place}: the numbers may count from 0 or from 1, since neither 0 nor {count:,} is among them. {remedy}"
    )


def check_range(numbers: Collection[int], count: int, place: str) -> None:
    """Raise UsageError unless `numbers` may be those of `count` classes, from 0 or from 1."""
    if max(numbers) > count or (0 in numbers and count in numbers):
        raise UsageError(
            f"{place}: required numbers from 0 to {count - 1:,}, or from 1 to {count:,}, since the model has {count:,} "
            f"classes; got {min(numbers):,} to {max(numbers):,}."
        )


def unmatched(texts: Iterable[str], known: ClassNames, place: str) -> UsageError:
    """A UsageError that names `texts`, which are no classes, each with the nearest that is."""
    texts = sorted(set(texts))
    lines = [f"  {text[:60]}{_suggestion(text, known)}" for text in texts[:MOST_NAMED]]
    if len(texts) > MOST_NAMED:
        lines.append(f"  and {len(texts) - MOST_NAMED:,} more")
    count = "1 of them does" if len(texts) == 1 else f"{len(texts):,} of them do"
    head = (
        f"{place}: required names, WordNet ids or numbers of the {len(known):,} classes of the model, but {count} "
        "not match a class:"
    )
    return UsageError("\n".join([head, *lines, "Rename or remove them."]))


def _suggestion(text: str, known: ClassNames) -> str:
    near = known.nearest(text)
    return f" (nearest: {near})" if near else ""
