"""Metadata of files from outside: whatever is in it, it is read or its reason is given, quickly."""

from __future__ import annotations

import io
import zipfile

import pytest

from edge_squeeze.converters.formats import tflite_metadata as writer
from edge_squeeze.inspection import tflite_metadata
from edge_squeeze.inspection.model_card import ModelCard

LABELED = {
    "license": "MIT",
    "subgraph_metadata": [
        {
            "input_tensor_metadata": [
                {
                    "content": {"content_properties": {"ImageProperties": {"color_space": 1}}},
                    "process_units": [{"options": {"NormalizationOptions": {"mean": [127.5], "std": [127.0]}}}],
                }
            ],
            "output_tensor_metadata": [{"associated_files": [{"name": "names.txt", "type": 2}]}],
        }
    ],
}
NAMES = ("cat", "dog")


def zipped(text: str, name: str = "names.txt") -> bytes:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, text)
    return b"the model" + whole.getvalue()


@pytest.mark.parametrize("text", ["cat\ndog", "cat\ndog\n", "cat\r\ndog\r\n"])
def test_a_file_of_another_maker_is_read(text: str) -> None:
    card = tflite_metadata.read(writer._packed(LABELED), zipped(text))
    assert card == ModelCard(NAMES, "MIT", "RGB", (127.5,), (127.0,))


def test_a_file_that_says_little_is_read() -> None:
    assert tflite_metadata.read(writer._packed({"name": "net"}), b"") == ModelCard()
    unlabeled = {"subgraph_metadata": [{"output_tensor_metadata": [{"name": "scores"}]}]}
    assert tflite_metadata.read(writer._packed(unlabeled), b"") == ModelCard()


@pytest.mark.parametrize(
    ("behind", "reason"),
    [
        (b"the model", "BadZipFile"),
        (zipped("cat\ndog", "other.txt"), "no item named 'names.txt'"),
        (zipped("cat\ndog")[:-30], "BadZipFile"),
        (zipped("x" * (tflite_metadata.LARGEST_TEXT + 1)), "more than 16,777,216 bytes"),
    ],
)
def test_names_that_cannot_be_had_are_reported(behind: bytes, reason: str) -> None:
    card = tflite_metadata.read(writer._packed(LABELED), behind)
    assert reason in (card.unreadable or "")
    assert not card.labels


def test_provenance_must_be_an_object() -> None:
    own = {"associated_files": [{"name": "edge-squeeze.json"}]}
    for text, reason in (("[1]", "must hold an object"), ("{", "JSONDecodeError"), ("[" * 100_000, "RecursionError")):
        card = tflite_metadata.read(writer._packed(own), zipped(text, "edge-squeeze.json"))
        assert reason in (card.unreadable or "")


def test_damage_anywhere_in_the_metadata_is_survived() -> None:
    good, behind = writer._packed(LABELED), zipped("cat\ndog")
    cards = [tflite_metadata.read(good[:i], behind) for i in range(len(good))]
    for i in range(len(good)):
        changed = (good[:i] + bytes([value]) + good[i + 1 :] for value in (0x00, 0x7F, 0xFF))
        cards += [tflite_metadata.read(data, behind) for data in changed]
    assert sum(card.unreadable is not None for card in cards) > len(good)


def test_a_table_that_is_listed_for_ever_is_refused() -> None:
    shared = writer._packed({"subgraph_metadata": [{"output_tensor_metadata": [{}] * 6000}]})
    assert "too much for this file" in (tflite_metadata.read(shared, b"").unreadable or "")
