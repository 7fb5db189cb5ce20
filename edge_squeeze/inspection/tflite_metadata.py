"""Reads what a .tflite file says of itself: TFLite Metadata, and the files that are zipped behind it."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from typing import Any

from edge_squeeze.inspection.graph import TABLE_COST, Allowance
from edge_squeeze.inspection.model_card import RGB, ModelCard

ENTRY = "TFLITE_METADATA"  # what the file's table of metadata calls it
IDENTIFIER = b"M001"
LABELS_FILE, FACTS_FILE = "labels.txt", "edge-squeeze.json"
AXIS_LABELS = 2  # of AssociatedFile.type
COLOR_SPACES = (None, RGB, "grayscale")  # position: ImageProperties.color_space
# Table -> field -> where it stands, and what: the part of TFLite Support's metadata_schema.fbs that we need. A union
# takes two places, the first for the number of its table.
TEXT, BYTE, FLOATS = "text", "byte", "floats"
Kind = str | list[str] | dict[int, str]  # a number or text, a table; a list of tables; a union
TABLES: dict[str, dict[str, tuple[int, Kind]]] = {
    "ModelMetadata": {
        "name": (0, TEXT),
        "description": (1, TEXT),
        "subgraph_metadata": (3, ["SubGraphMetadata"]),
        "license": (5, TEXT),
        "associated_files": (6, ["AssociatedFile"]),
        "min_parser_version": (7, TEXT),
    },
    "SubGraphMetadata": {
        "input_tensor_metadata": (2, ["TensorMetadata"]),
        "output_tensor_metadata": (3, ["TensorMetadata"]),
    },
    "TensorMetadata": {
        "name": (0, TEXT),
        "description": (1, TEXT),
        "content": (3, "Content"),
        "process_units": (4, ["ProcessUnit"]),
        "associated_files": (6, ["AssociatedFile"]),
    },
    "Content": {"content_properties": (0, {1: "FeatureProperties", 2: "ImageProperties"})},
    "FeatureProperties": {},
    "ImageProperties": {"color_space": (0, BYTE)},
    "ProcessUnit": {"options": (0, {1: "NormalizationOptions"})},
    "NormalizationOptions": {"mean": (0, FLOATS), "std": (1, FLOATS)},
    "AssociatedFile": {"name": (0, TEXT), "description": (1, TEXT), "type": (2, BYTE)},
}
MOST_ENTRIES = 100_000
LARGEST_TEXT = 16 << 20  # bytes of a file behind the model


def read(metadata: bytes, data: bytes) -> ModelCard:
    """What `metadata`, the content of ENTRY in the .tflite file `data`, and the files behind that say."""
    try:
        return _card(_Reader(metadata).read(), data)
    except Exception as error:  # a damaged file raises errors of any kind, and what it computes can still be read
        return ModelCard(unreadable=f"{type(error).__name__}: {error}"[:200])


def _card(model: dict[str, Any], data: bytes) -> ModelCard:
    graph = _first(model.get("subgraph_metadata"))
    pixels, scores = _first(graph.get("input_tensor_metadata")), _first(graph.get("output_tensor_metadata"))
    image = pixels.get("content", {}).get("content_properties", {}).get("ImageProperties", {})
    units = [unit.get("options", {}).get("NormalizationOptions") for unit in pixels.get("process_units", ())]
    normalization: dict[str, Any] = next((unit for unit in units if unit), {})
    names = [file["name"] for file in scores.get("associated_files", ()) if file.get("type") == AXIS_LABELS]
    own = any(file.get("name") == FACTS_FILE for file in model.get("associated_files", ()))
    labels = _behind(data, names[0]).replace("\r\n", "\n").removesuffix("\n").split("\n") if names else ()
    facts = json.loads(_behind(data, FACTS_FILE)) if own else {}
    if not isinstance(facts, dict):
        raise ValueError(f"{FACTS_FILE} must hold an object")  # noqa: TRY004 - of the file, not of an argument
    return ModelCard(
        tuple(labels),
        model.get("license"),
        dict(enumerate(COLOR_SPACES)).get(image.get("color_space", 0)),
        tuple(normalization.get("mean", ())),
        tuple(normalization.get("std", ())),
        facts,
    )


def _first(tables: list[dict[str, Any]] | None) -> dict[str, Any]:
    return tables[0] if tables else {}


def _behind(data: bytes, name: str) -> str:
    """The text of the file `name` that is zipped behind the model."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive, archive.open(name) as file:
        content = file.read(LARGEST_TEXT + 1)
    if len(content) > LARGEST_TEXT:
        raise ValueError(f"{name} has more than {LARGEST_TEXT:,} bytes")
    return content.decode("utf-8")


class _Reader:
    """Goes through one ModelMetadata; tables become dicts without the fields that are not there."""

    def __init__(self, data: bytes) -> None:
        self.data, self.text_left, self.allowance = data, len(data), Allowance(MOST_ENTRIES)

    def read(self) -> dict[str, Any]:
        """The whole of it."""
        import flatbuffers

        if self.data[4:8] != IDENTIFIER:
            raise ValueError(f"bytes 4 to 8 of {ENTRY} are not {IDENTIFIER.decode()}")
        root = flatbuffers.encode.Get(flatbuffers.packer.uoffset, self.data, 0)
        return self._table("ModelMetadata", root)

    def _table(self, kind: str, position: int) -> dict[str, Any]:
        import flatbuffers

        self.allowance.spend(1, TABLE_COST)
        table = flatbuffers.table.Table(self.data, position)
        values = {name: self._value(table, 4 + 2 * slot, field) for name, (slot, field) in TABLES[kind].items()}
        return {name: value for name, value in values.items() if value is not None}

    def _value(self, table: Any, entry: int, kind: Kind) -> Any:
        """The value whose place stands at `entry` of the table's list of places; None if it is not there."""
        from flatbuffers.number_types import Float32Flags, Int8Flags

        if isinstance(kind, dict):
            code = self._value(table, entry, BYTE)
            return {kind[code]: self._value(table, entry + 2, kind[code])} if code in kind else None
        offset = table.Offset(entry)
        if not offset:
            return None
        if isinstance(kind, list):
            return [self._table(kind[0], table.Indirect(place)) for place in self._places(table, offset)]
        if kind == FLOATS:
            return [table.Get(Float32Flags, place) for place in self._places(table, offset)]
        place = table.Pos + offset
        if kind in (BYTE, TEXT):
            return table.Get(Int8Flags, place) if kind == BYTE else self._text(table, place)
        return self._table(kind, table.Indirect(place))

    def _places(self, table: Any, offset: int) -> Iterator[int]:
        """Where each entry of a list of numbers of four bytes stands."""
        start = table.Vector(offset)
        return (start + 4 * i for i in self.allowance.spend(table.VectorLen(offset)))

    def _text(self, table: Any, place: int) -> str:
        text: bytes = table.String(place)
        self.text_left -= len(text)
        if self.text_left < 0:
            raise ValueError("it has more text than bytes")
        return text.decode("utf-8")
