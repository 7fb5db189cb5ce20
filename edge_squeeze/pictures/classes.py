"""Which class a name, a WordNet id or a number stands for."""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from edge_squeeze.errors import UsageError
from edge_squeeze.pictures import imagenet

WORDNET_ID = re.compile(r"n[0-9]{8}")
MOST_NAMED = 10  # classes that match nothing
ALIKE = 0.9  # of the names, for the classes to be ImageNet's


def fold(name: str) -> str:
    """`name` without what people change when they make a folder of it: case, and the marks between words."""
    return re.sub(r"[\s_\-]+", " ", name).strip().casefold()


class ClassNames:
    """The classes of a network, found by their names and WordNet ids."""

    def __init__(self, names: Sequence[str]) -> None:
        """Take the `names` of the classes in the order of the outputs."""
        self.names = tuple(names)
        self._exact: dict[str, list[int]] = defaultdict(list)
        self._folded: dict[str, list[int]] = defaultdict(list)
        for number, name in enumerate(names):
            self._exact[name].append(number)
            for form in {fold(name), fold(name.partition(",")[0])}:
                self._folded[form].append(number)
        self._wordnet = self._wordnet_ids()

    def __len__(self) -> int:
        return len(self.names)

    def _wordnet_ids(self) -> dict[str, int]:
        """The classes that are ImageNet's, by their WordNet ids: all of 1,000, or those whose names say so."""
        ids, names = imagenet.wordnet_ids(), imagenet.names()
        if len(self.names) == imagenet.CLASSES:
            alike = sum(
                fold(ours) in {fold(theirs), fold(theirs.partition(",")[0])}
                for ours, theirs in zip(names, self.names, strict=True)
            )
            if alike >= ALIKE * len(names):
                return ids
        numbers = {key: self._folded.get(fold(names[number]), []) for key, number in ids.items()}
        return {key: classes[0] for key, classes in numbers.items() if len(classes) == 1 and self._is_one(key, names)}

    @staticmethod
    def _is_one(wordnet_id: str, names: Sequence[str]) -> bool:
        return names.count(names[imagenet.wordnet_ids()[wordnet_id]]) == 1

    def find(self, text: str) -> int | None:
        """The class that `text` names, or is the WordNet id of; None if there is none.

        UsageError if several classes have that name.
        """
        for forms, key in (
            (self._exact, text),
            (self._folded, fold(text)),
            (self._folded, fold(text.split(",", maxsplit=1)[0])),
        ):
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
    remarks: tuple[str, ...] = field(default=())


def read(texts: Collection[str], names: ClassNames, place: str, remedy: str) -> Reading:
    """The classes that `texts` stand for, all of them names and WordNet ids, or all of them numbers.

    UsageError for those that match nothing, with the nearest, and for numbers that may count from 0 or from 1.

    Args:
        texts: What stands for the classes.
        names: The classes.
        place: Where the texts stand, for messages.
        remedy: What to do about numbers that may count from 0 or from 1.
    """
    matches = {text: names.find(text) for text in texts}
    if matches and all(number is None and text.isdecimal() for text, number in matches.items()):
        base, remarks = count_from({int(text) for text in texts}, len(names), place, remedy)
        return Reading({text: int(text) - base for text in texts}, remarks)
    if wrong := [text for text, number in matches.items() if number is None]:
        raise unmatched(wrong, names, place)
    return Reading({text: number for text, number in matches.items() if number is not None})


def count_from(numbers: Collection[int], count: int, place: str, remedy: str) -> tuple[int, tuple[str, ...]]:
    """0 or 1, whichever `numbers` of `count` classes count from, and what to say of it; UsageError if that is open."""
    from_0, from_1 = 0 in numbers, count in numbers
    if max(numbers) > count or (from_0 and from_1):
        raise UsageError(
            f"{place}: required numbers from 0 to {count - 1:,}, or from 1 to {count:,}, since the model has {count:,} "
            f"classes; got {min(numbers):,} to {max(numbers):,}."
        )
    if from_0:
        return 0, ()
    if from_1:
        return 1, (f"{place}: the numbers count from 1, since {count:,} is among them and 0 is not",)
    raise UsageError(
        f"{place}: the numbers may count from 0 or from 1, since neither 0 nor {count:,} is among them. {remedy}"
    )


def unmatched(texts: Iterable[str], names: ClassNames, place: str) -> UsageError:
    """A UsageError that names `texts`, which are no classes, each with the nearest that is."""
    texts = sorted(set(texts))
    lines = [f"  {text}{_suggestion(text, names)}" for text in texts[:MOST_NAMED]]
    if len(texts) > MOST_NAMED:
        lines.append(f"  and {len(texts) - MOST_NAMED:,} more")
    count = "1 of them does" if len(texts) == 1 else f"{len(texts):,} of them do"
    head = (
        f"{place}: required names, WordNet ids or numbers of the {len(names):,} classes of the model, but {count} "
        "not match a class:"
    )
    return UsageError("\n".join([head, *lines, "Rename or remove them."]))


def _suggestion(text: str, names: ClassNames) -> str:
    near = names.nearest(text)
    return f" (nearest: {near})" if near else ""
