from __future__ import annotations

import pytest

from edge_squeeze.inspection import model_card
from edge_squeeze.inspection.model_card import RGB, ModelCard

CARD = ModelCard(
    ("tench", "Weißer Hai"),
    "BSD-2-Clause",
    RGB,
    (0.0,),
    (1.0,),
    {"name": "net", "weights_seed": "7", "preprocessing": {"crop": [4, 4], "baked": {"mean": [0.5]}}},
)


def test_properties_of_onnx_say_what_the_card_does() -> None:
    properties = model_card.to_properties(CARD)
    assert properties == {
        "labels": "tench\nWeißer Hai",
        "model_license": "BSD-2-Clause",
        "Image.BitmapPixelFormat": "Rgb8",
        "Image.ColorSpaceGamma": "SRGB",
        "Image.NominalPixelRange": "NominalRange_0_255",
        "edge_squeeze.name": "net",
        "edge_squeeze.weights_seed": "7",
        "edge_squeeze.preprocessing": '{"crop": [4, 4], "baked": {"mean": [0.5]}}',
    }
    assert model_card.from_properties(properties) == CARD
    assert all(map(model_card.is_ours, properties))


@pytest.mark.parametrize(
    ("properties", "card"),
    [
        ({}, ModelCard()),
        ({"names": "{0: 'person'}", "stride": "32"}, ModelCard()),  # as another exporter writes
        ({"model_license": "GPL-3.0"}, ModelCard(license="GPL-3.0")),
        ({"Image.BitmapPixelFormat": "Bgr8", "Image.NominalPixelRange": "NominalRange_0_255"}, ModelCard()),
        ({"edge_squeeze.preprocessing": "{" * 100_000}, ModelCard(facts={"preprocessing": "{" * 100_000})),
    ],
)
def test_properties_of_other_files_say_what_they_do(properties: dict[str, str], card: ModelCard) -> None:
    assert model_card.from_properties(properties) == card
    assert not any(map(model_card.is_ours, ("names", "stride", "description")))
