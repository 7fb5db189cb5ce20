from __future__ import annotations

import statistics
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_models import modules
from trained_models import CASES, CROPS as FITTED, SIZE, fit, save_crops

import edge_squeeze
from edge_squeeze.artifact import folder as artifacts
from edge_squeeze.converters.export import Exported
from edge_squeeze.converters.quantization import calibration, quantizer
from edge_squeeze.converters.quantization.network import Network, flat
from edge_squeeze.converters.quantization.quantizer import Task, Wanted, quantize
from edge_squeeze.engines.runner import open_runner
from edge_squeeze.errors import UsageError
from edge_squeeze.models import source
from edge_squeeze.models.source import Choice, Subject
from edge_squeeze.pictures.loading import load_folder, photograph_crops
from edge_squeeze.pictures.preprocessing import Preprocessing
from edge_squeeze.proof import parity
from edge_squeeze.reporting import Silent

CROPS = photograph_crops(8, (32, 32), seed=5)
OTHERS = photograph_crops(8, (227, 227), seed=9).pixels
WORST = 2  # times the divergence of stock ranges; weights that have collapsed are tens of times worse


@dataclass
class Notes(Silent):
    """Remembers what it is told."""

    texts: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        self.texts.append(text)


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    path = tmp_path_factory.mktemp("quantizer") / "modules.keras"
    modules().save(path)
    return source.find(Choice(path, preprocessing="raw"), Silent())


@pytest.mark.parametrize("better", ["stock", "tuned"])
def test_auto_takes_what_diverges_less_on_held_out_pictures(
    subject: Subject, monkeypatch: pytest.MonkeyPatch, better: str
) -> None:
    baked, notes = modules(), Notes()
    worse = "tuned" if better == "stock" else "stock"
    values = {better: np.ones(4), worse: np.full(4, 2.0)}
    monkeypatch.setattr(Task, "divergences", lambda _, model, __: values["stock" if model is baked else "tuned"])
    done = quantize(subject, baked, CROPS, Wanted(), "probabilities", notes)
    assert (done.record.quantizer, done.model is baked) == (better, better == "stock")
    assert done.record.quantizers == {better: 1.0, worse: 2.0}
    assert (done.record.adjustments is None) == (better == "stock")
    assert any(text.startswith(f"quantizer: {better}; ") for text in notes.texts)


def test_auto_takes_stock_where_tuned_is_not_clearly_better(subject: Subject, monkeypatch: pytest.MonkeyPatch) -> None:
    """Less in the mean, for one picture's sake: by less than the standard error of the difference."""
    baked, notes = modules(), Notes()
    values = {"stock": np.array([1.0, 1.0, 1.0, 4.0]), "tuned": np.array([1.5, 1.5, 1.5, 1.0])}
    monkeypatch.setattr(Task, "divergences", lambda _, model, __: values["stock" if model is baked else "tuned"])
    done = quantize(subject, baked, CROPS, Wanted(), "probabilities", notes)
    assert done.record.quantizer == "stock"
    assert done.record.quantizers == {"stock": 1.75, "tuned": 1.375}
    assert any(text.endswith("; not clearly less with tuned") for text in notes.texts)


def test_a_record_makes_the_same_model_again_and_no_other(subject: Subject) -> None:
    baked = modules()
    first = quantize(subject, baked, CROPS, Wanted("tuned"), "probabilities", Silent())
    again = quantize(subject, modules(), first.record, Wanted(), "probabilities", Silent())
    for weights, weights_again in zip(first.model.get_weights(), again.model.get_weights(), strict=True):
        np.testing.assert_array_equal(weights, weights_again)
    assert again.record == first.record
    with pytest.raises(UsageError, match=r"for the tuned quantizer, required stock. Pass --quantizer tuned, or"):
        quantize(subject, baked, first.record, Wanted("stock"), "probabilities", Silent())
    stock = replace(first.record, quantizer="stock", adjustments=None)
    with pytest.raises(UsageError, match=r"for the stock quantizer, required tuned"):
        quantize(subject, baked, stock, Wanted("tuned"), "probabilities", Silent())


def test_what_cannot_be_tuned_keeps_the_stock_quantizer_and_says_so(subject: Subject) -> None:
    import keras

    class Own(keras.Model):  # type: ignore[misc] - Keras has no types
        def call(self, pixels: Any) -> Any:
            return pixels

    notes = Notes()
    assert quantizer._network(Own(), Wanted(), notes) is None
    assert "stock; the model cannot be tuned: " in notes.texts[0]
    with pytest.raises(UsageError, match=r"cannot be tuned: .* Pass --quantizer stock"):
        quantizer._network(Own(), Wanted("tuned"), notes)


def test_layers_that_are_left_as_they_were_are_named() -> None:
    import keras

    pixels = keras.Input((16, 16, 3), name="image")
    x = keras.layers.Conv2D(4, 3, name="first")(pixels)
    x = keras.layers.Conv2D(4, 3, groups=2, name="grouped")(x)
    twice = keras.layers.Conv2D(4, 1, name="twice")
    x = keras.layers.GlobalAveragePooling2D()(twice(twice(x)))
    network = Network(flat(keras.Model(pixels, keras.layers.Dense(2, name="scores")(x))))
    assert [*network.weighted] == ["first", "scores"]
    assert network.left == ["grouped (Conv2D)", "twice (Conv2D)"]
    assert "left as they were: grouped (Conv2D), twice (Conv2D)" in quantizer._summary(network, [])


def test_views_of_a_picture_stay_together(tmp_path: Path) -> None:
    from PIL import Image

    for i in range(8):
        Image.new("RGB", (300, 260), (30 * i, 0, 0)).save(tmp_path / f"{i}.png")
    pictures = load_folder(tmp_path, Preprocessing(256, (227, 227)))
    views = calibration.Samples.of(pictures, 3)
    reds = views.pixels[:, 0, 0, 0] // 30
    np.testing.assert_array_equal(reds, views.pictures)
    assert len(views.pixels) == 24
    assert {*views.pictures[views.is_held_out]} == {3, 7}
    assert len(calibration.Samples.of(CROPS, 3).pixels) == len(CROPS)  # no files to take others from


def test_the_shipped_weights_diverge_a_third_as_much_as_stock_ones(
    exported_11: dict[str, Exported], original_11: Any, tmp_path: Path
) -> None:
    tuned = exported_11["tflite-int8"]
    notes = Notes()
    (stock,) = edge_squeeze.export(precision="int8", quantizer="stock", effort="full", out=tmp_path, reporter=notes)
    assert any(text.startswith("--effort is not used") for text in notes.texts)
    assert stock.folder.name == "squeezenet1.1-tflite-int8-stock"
    assert (tuned.manifest.options["quantizer"], tuned.manifest.options["effort"]) == ("tuned", "full")
    assert (stock.manifest.options["quantizer"], stock.manifest.options["effort"]) == ("stock", None)
    assert "(tuned weights, effort full)" in str(tuned.manifest.quantizer)
    sizes = [each.manifest.file.size_bytes for each in (stock, tuned)]
    assert abs(sizes[0] - sizes[1]) < 1000
    expected = original_11.run(OTHERS)
    by_stock, by_tuned = (
        parity.compare(expected, open_runner(artifacts.load(each.folder).model(), "tflite").run(OTHERS)).kl
        for each in (stock, tuned)
    )
    assert by_tuned < 0.6 * by_stock


def test_what_the_package_brings_is_small() -> None:
    assert sum(path.stat().st_size for path in calibration.SHIPPED.iterdir()) < 1_000_000


@pytest.mark.slow
def test_mobilenets_are_no_worse_than_with_the_stock_quantizer(tmp_path: Path) -> None:
    """Depthwise convolutions, residual sums and ReLU6; one network may be a little worse where few pictures decide."""
    ratios = [mobilenet_divergence(tmp_path / str(seed), seed) for seed in range(5)]
    assert statistics.geometric_mean(ratios) <= 1, ratios
    assert max(ratios) <= WORST, ratios


def mobilenet_divergence(folder: Path, seed: int) -> float:
    """KL by `auto` over KL by stock ranges, on crops that the network was neither fitted nor calibrated on."""
    import keras

    folder.mkdir()
    keras.utils.set_random_seed(seed)
    case = CASES["mobilenet"]
    model = case.build()
    fit(model, case, photograph_crops(FITTED, (SIZE, SIZE), seed).pixels)
    calibration_set = save_crops(folder / "calibration", 10, seed=100 + seed)
    pixels = photograph_crops(40, (SIZE, SIZE), seed=200 + seed).pixels
    expected = np.asarray(model(case.normalize(pixels.astype(np.float32)), training=False))
    divergences = {}
    for kind in ("stock", "auto"):
        options = {"calibration": calibration_set, "quantizer": kind, "out": folder / kind}
        (exported,) = edge_squeeze.export(model, precision="int8", preprocessing="tf", **options)
        scores = open_runner(artifacts.load(exported.folder).model(), "tflite").run(pixels)
        divergences[kind] = parity.compare(expected, scores).kl
    return divergences["auto"] / divergences["stock"]
