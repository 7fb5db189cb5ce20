"""A whole Keras model given as weights tells its graph and its size: another graph would fit its weights, too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import pytest

import edge_squeeze
from edge_squeeze.errors import UsageError
from edge_squeeze.models import source
from edge_squeeze.models.original import build_model
from edge_squeeze.networks.design import Design
from edge_squeeze.weight_files import keras_config


def saved(folder: Path, ending: str, variant: str = "squeezenet-lab", bypass: str = "none", size: Any = 24) -> Path:
    design = Design(bypass, base_e=16, incr_e=16)
    model = edge_squeeze.build(variant, weights="random", classes=3, input_size=size, **design.record())
    model.save(folder / f"model{ending}")
    return folder / f"model{ending}"


def built(path: Path, variant: str = "squeezenet-lab", bypass: str = "none") -> Any:
    arch, weights = source.find_weights(variant, path, design=Design(bypass, base_e=16, incr_e=16))
    return build_model(arch, weights)


@pytest.mark.parametrize("ending", [".keras", ".h5"])
@pytest.mark.parametrize(("held", "asked"), [("simple", "none"), ("none", "simple")])
def test_bypasses_that_weights_do_not_show_are_required(tmp_path: Path, ending: str, held: str, asked: str) -> None:
    path = saved(tmp_path, ending, bypass=held)
    assert built(path, bypass=held).count_params() > 0
    required, got = (2 if one == "simple" else 0 for one in (asked, held))
    with pytest.raises(UsageError, match=f"bypasses: required {required}, got a model with {got}"):
        built(path, bypass=asked)


@pytest.mark.parametrize(
    ("held", "asked", "told"),
    [
        ("squeezenet-mlt", "squeezenet1.0", "conv1: required padding valid, got 'same'"),
        ("squeezenet-mlt", "squeezenet-composable", "conv10: required activation relu, got 'linear'"),
        ("squeezenet-composable", "squeezenet-mlt", "conv10: required activation linear, got 'relu'"),
    ],
)
def test_rows_of_equal_weights_are_told_apart(tmp_path: Path, held: str, asked: str, told: str) -> None:
    path = saved(tmp_path, ".keras", held, size=48)
    assert built(path, held).count_params() > 0
    with pytest.raises(UsageError, match=told):
        built(path, asked)


@pytest.mark.parametrize("ending", [".keras", ".h5"])
@pytest.mark.parametrize(("size", "found"), [(24, (24, 24)), ((20, 28), (20, 28)), ("any", (32, 32))])
def test_the_input_size_is_that_of_the_model(tmp_path: Path, ending: str, size: Any, found: tuple[int, int]) -> None:
    arch, _ = source.find_weights(
        "squeezenet-lab", saved(tmp_path, ending, size=size), design=Design(base_e=16, incr_e=16)
    )
    assert arch.input_size == found


def test_files_of_weights_alone_tell_nothing(tmp_path: Path) -> None:
    path = tmp_path / "model.weights.h5"
    edge_squeeze.build("squeezenet-lab", weights="random", classes=3, input_size=24).save_weights(path)
    arch, weights = source.find_weights("squeezenet-lab", path)
    assert (arch.input_size, weights.description.graph) == ((32, 32), None)


def test_a_configuration_that_fills_the_memory_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, ".h5")
    with h5py.File(path, "a") as file:
        file.attrs["model_config"] = " " * (1 << 24) + "{}"
    with pytest.raises(UsageError, match="its configuration is too long"):
        built(path)


@pytest.mark.parametrize("config", [None, [], {}, "x", {"class_name": "Functional", "config": 3}])
def test_a_configuration_without_layers_tells_nothing(config: Any) -> None:
    assert keras_config.graph_of(config) is None


def test_what_a_configuration_says_is_printed_as_it_may_be() -> None:
    layer = {"class_name": "Conv2D", "config": {"name": "conv1", "padding": "\x1b[2J", "strides": [[]] * 99}}
    required = keras_config.Graph(None, 0, {"conv1": {"padding": "same", "strides": [1, 1]}})
    other = keras_config.graph_of(layer)
    assert other is not None
    told = list(required.differences(other))
    assert len(told) == 2
    assert all(line.isprintable() and len(line) < 120 for line in told)
