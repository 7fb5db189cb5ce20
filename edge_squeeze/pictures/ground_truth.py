"""ImageNet's own layout: validation pictures with a number each, and a file with a label for each number.

The labels are WordNet ids, or the ids of the challenge's development kit. These count from 1 in an order that is not
that of a network's outputs: reading one as the other gives an accuracy of nearly 0, or worse, of a few classes right.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edge_squeeze.errors import UsageError
from edge_squeeze.files.reading import read_text
from edge_squeeze.pictures import classes as readings, imagenet
from edge_squeeze.pictures.classes import ClassNames
from edge_squeeze.pictures.picture_index import PictureIndex

Classes = frozenset[int]
FILE, SYNSETS = "ILSVRC2012_validation_ground_truth.txt", "map_clsloc.txt"
OFFICIAL = "ground_truth"  # in the file's name
LINE = re.compile(r"[0-9]{1,9}|n[0-9]{8}")
NUMBERED = re.compile(r"(ILSVRC[0-9]{4})_val_([0-9]{8})")  # as the pictures are called, up to the ending
KIT_2012 = "ILSVRC2012"
# A line of a synset list: a WordNet id, perhaps with a number before or behind it, and words.
SYNSET = re.compile(
    r"(?:(?P<before>[0-9]+)[\s,;]+)?(?P<wordnet>n[0-9]{8})(?:[\s,;]+(?P<behind>[0-9]+)(?=[\s,;]|$))?(?:[\s,;]+(?P<words>.+))?"
)
LARGEST_LIST = 1 << 20
REMEDY = "Use class names or WordNet ids."


@dataclass(frozen=True)
class Synset:
    """A class of the challenge."""

    wordnet_id: str
    words: str


def is_one(text: str) -> bool:
    """Whether `text` has one label per line, and no names of pictures."""
    lines = text.split("\n")
    return any(map(str.strip, lines)) and all(LINE.fullmatch(line.strip()) for line in lines if line.strip())


def find_in(folder: Path) -> Path:
    """The ground truth file in a development kit; UsageError if it is not one."""
    for path in (folder / FILE, folder / "data" / FILE):
        if path.is_file():
            return path
    raise UsageError(f"{folder} is a folder. Required: a table of labels, or ImageNet's development kit with {FILE}.")


def read(path: Path, text: str, index: PictureIndex, known: ClassNames) -> tuple[list[Classes], tuple[str, ...]]:
    """The right class of each picture of `index`, from the line of its number, and what to say of them.

    Args:
        path: The ground truth file.
        text: Its content.
        index: The pictures.
        known: The classes of the model.
    """
    lines = [line.strip() for line in text.rstrip().split("\n")]
    numbers = {row: match for row, name in enumerate(index.names) if (match := NUMBERED.search(Path(name).stem))}
    if not numbers:
        raise UsageError(
            f"{path} has labels, but no names of pictures. Required: pictures called {KIT_2012}_val_00000001.JPEG and "
            f"so on, whose numbers are those of the lines; got {index.names[0]}. Write the picture's name before each "
            "label, with a comma between them."
        )
    labels = {row: _label(path, lines, match) for row, match in numbers.items()}
    remarks: tuple[str, ...] = ()
    if not all(imagenet.WORDNET_ID.fullmatch(label) for label in labels.values()):
        labels, remarks = _names(path, labels, {match[1] for match in numbers.values()}, known)
    reading = readings.read(set(labels.values()), known, str(path), REMEDY)
    sets = {label: frozenset({number}) for label, number in reading.classes.items()}
    return [sets[labels[row]] if row in labels else frozenset() for row in range(len(index))], remarks


def _label(path: Path, lines: Sequence[str], picture: re.Match[str]) -> str:
    number = int(picture[2])
    if not 1 <= number <= len(lines) or not lines[number - 1]:
        raise UsageError(f"{path} has no label for {picture[0]}: it has {len(lines):,} lines. Is it another set's?")
    return lines[number - 1]


def _names(
    path: Path, labels: Mapping[int, str], kits: set[str], known: ClassNames
) -> tuple[dict[int, str], tuple[str, ...]]:
    """What names the class of each label, which is an id of a development kit."""
    source, synsets = _synsets(path, kits)
    names = {}
    for row, label in labels.items():
        synset = synsets.get(int(label)) if label.isdecimal() else None
        if synset is None:
            raise UsageError(
                f"{path}: {label} is not an id of {source}: required 1 to {max(synsets):,}. Numbers of outputs belong "
                "into a table with the pictures' names and the header file,class_index."
            )
        names[row] = synset.words if known.find(synset.wordnet_id) is None and synset.words else synset.wordnet_id
    return names, (f"{path}: read as the ids of {source}",)


def _synsets(path: Path, kits: set[str]) -> tuple[str, Mapping[int, Synset]]:
    """The classes by their ids: of the list beside `path`, or of ILSVRC2012; and what to call where they are from."""
    wordnet_ids = list(imagenet.wordnet_ids())
    ours = {number: Synset(wordnet_ids[output], "") for number, output in imagenet.ilsvrc_ids().items()}
    lists = {file: synsets for file in sorted(path.parent.glob("*.txt")) if file != path and (synsets := _list(file))}
    for file, synsets in lists.items():
        wrong = [i for i in synsets.keys() & ours.keys() if synsets[i].wordnet_id != ours[i].wordnet_id]
        if wrong and kits == {KIT_2012} and {synset.wordnet_id for synset in synsets.values()} <= set(wordnet_ids):
            raise UsageError(
                f"{file} says that class {wrong[0]} is {synsets[wrong[0]].wordnet_id}, but in {KIT_2012}'s development "
                f"kit it is {ours[wrong[0]].wordnet_id}. Put the kit's own {SYNSETS} beside {path}."
            )
        return str(file), synsets
    if kits != {KIT_2012} or OFFICIAL not in path.name:
        raise UsageError(
            f"{path} has numbers, and nothing says what they stand for. Required: {FILE}, or beside the file a list of "
            f"the WordNet ids with their numbers, as the development kit's {SYNSETS}."
        )
    return f"{KIT_2012}'s development kit", ours


def _list(file: Path) -> dict[int, Synset] | None:
    """The classes by their ids, if `file` is a list that says so; None otherwise.

    A list without ids whose order is that of the WordNet ids gives the order of outputs, and says nothing of ids.
    """
    if file.stat().st_size > LARGEST_LIST:
        return None
    try:
        lines = read_text(file, LARGEST_LIST).split("\n")
    except UsageError:  # another text, in another encoding
        return None
    matches = [SYNSET.fullmatch(line.strip()) for line in lines if line.strip()]
    if not matches or not all(matches):
        return None
    parts = [match for match in matches if match]
    ids = [match["before"] or match["behind"] for match in parts]
    synsets = [Synset(match["wordnet"], match["words"] or "") for match in parts]
    if all(ids):
        return dict(zip(map(int, ids), synsets, strict=True))
    in_order = [synset.wordnet_id for synset in synsets]
    return None if in_order == sorted(in_order) else dict(enumerate(synsets, start=1))
