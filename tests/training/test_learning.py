"""Learning: early stopping keeps the best epoch, and an interrupted training goes on as if nothing had been."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from edge_squeeze.reporting import Silent
from edge_squeeze.training import learning
from edge_squeeze.training.learning import Course, Epoch, Part, Plan

EPOCHS = 6


def network() -> Any:
    layers = keras.layers
    model = keras.Sequential([keras.Input((8,)), layers.Dense(8, "relu"), layers.Dropout(0.3, seed=1), layers.Dense(3)])
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(0, 0.5, array.shape) for array in model.get_weights()])
    return model


def parts() -> tuple[Part, Part]:
    rng = np.random.default_rng(1)
    values = rng.normal(size=(60, 8)).astype(np.float32)
    truth = (values[:, 0] > 0).astype(np.intp) + (values[:, 1] > 0)
    return tuple(Part(values.__getitem__, rows, truth) for rows in (np.arange(40), np.arange(40, 60)))  # type: ignore[return-value]


def plan(**changes: Any) -> Plan:
    return Plan(
        **{
            "epochs": EPOCHS,
            "batch_size": 10,
            "learning_rate": 0.01,
            "seed": 0,
            "classes": 3,
            "probabilities": False,
            **changes,
        }
    )


class Interrupted(Silent):
    """A Reporter that is interrupted after a number of batches, as by Ctrl-C."""

    def __init__(self, after: int) -> None:
        self.after = after

    def track(self, items: Iterable[Any], title: str) -> Iterator[Any]:
        for number, item in enumerate(items):
            if number == self.after:
                raise KeyboardInterrupt
            yield item


class Idle(Silent):
    """A Reporter that must not hear of any batch."""

    def track(self, items: Iterable[Any], title: str) -> Iterator[Any]:
        raise AssertionError(f"{title} was done again")


def complete(backup: Path) -> None:
    """Leave the backup as it is."""


def without_its_number(backup: Path) -> None:
    """As if Ctrl-C came when Keras had written the weights of an epoch, and not yet which epoch that was."""
    before = json.loads((backup / "training_metadata.json.bkp").read_text())
    (backup / "training_metadata.json").write_text(json.dumps(before))


def half_written(backup: Path) -> None:
    """As if Ctrl-C came while Keras wrote the weights: it takes those before."""
    weights = backup / "latest.weights.h5"
    weights.write_bytes(weights.read_bytes()[:1000])


@pytest.mark.parametrize("leave", [complete, without_its_number, half_written])
def test_an_interrupted_training_ends_with_the_weights_of_one_that_was_not(
    tmp_path: Path, leave: Callable[[Path], None]
) -> None:
    whole = network()
    course = learning.learn(whole, *parts(), plan(), Silent())
    with pytest.raises(KeyboardInterrupt):
        learning.learn(network(), *parts(), plan(backup=tmp_path), Interrupted(after=14))  # in the fourth epoch
    assert [epoch.number for epoch in Course.load(tmp_path).epochs] == [1, 2, 3]
    leave(tmp_path / "latest")
    resumed = network()
    again = learning.learn(resumed, *parts(), plan(backup=tmp_path), Silent())
    assert again.epochs == course.epochs
    assert all(np.array_equal(a, b) for a, b in zip(whole.get_weights(), resumed.get_weights(), strict=True))


def test_a_training_that_had_ended_is_not_repeated(tmp_path: Path) -> None:
    first, again = network(), network()
    course = learning.learn(first, *parts(), plan(backup=tmp_path), Silent())
    for epochs in (EPOCHS, 2):  # the latter as where the next stage is to end at once
        resumed = learning.learn(again, *parts(), plan(backup=tmp_path, epochs=epochs), Idle())
        assert resumed.epochs == course.epochs
        assert all(np.array_equal(a, b) for a, b in zip(first.get_weights(), again.get_weights(), strict=True))


@pytest.mark.slow
def test_another_seed_gives_other_weights_and_the_same_seed_the_same() -> None:
    models = [network() for _ in range(3)]
    for model, seed in zip(models, (0, 0, 1), strict=True):
        learning.learn(model, *parts(), plan(seed=seed), Silent())
    first, again, reseeded = (model.get_weights()[0] for model in models)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, reseeded)


def test_it_ends_when_patience_does_and_has_the_weights_of_the_best_epoch() -> None:
    model = network()
    course = learning.learn(model, *parts(), plan(epochs=60, patience=2, learning_rate=0.5), Silent())
    assert course.best
    assert len(course.epochs) == course.best.number + 2 < 60
    assert course.best == max(course.epochs, key=lambda epoch: epoch.rank)
    _, held_out = parts()
    scores = model.predict_on_batch(held_out.inputs(held_out.rows))
    accuracy = np.mean(scores.argmax(axis=1) == held_out.truth[held_out.rows])
    assert accuracy == pytest.approx(course.best.validation_accuracy)


@pytest.mark.slow
def test_class_weights_and_smoothing_change_what_is_learned() -> None:
    losses = []
    for changes in ({}, {"class_weights": {0: 5.0, 1: 1.0, 2: 1.0}}, {"smoothing": 0.2}):
        course = learning.learn(network(), *parts(), plan(epochs=1, **changes), Silent())
        losses.append(course.epochs[0].loss)
    assert len(set(losses)) == 3


def test_a_damaged_backup_is_no_backup(tmp_path: Path) -> None:
    course = Course()
    course.add(Epoch(1, 1.0, 0.5, 1.0, 0.5), network())
    course.save(tmp_path, is_best=True)
    assert Course.load(tmp_path).best == course.best
    (tmp_path / learning.BEST).write_bytes(b"PK")
    assert Course.load(tmp_path) == Course()


@pytest.fixture
def usual_interrupts() -> Iterator[None]:
    """Ctrl-C as Python has it, which a shell may have ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_is_held_back_until_the_state_is_saved(usual_interrupts: None) -> None:
    saved = []
    with pytest.raises(KeyboardInterrupt), learning.interrupts_held():  # noqa: PT012 - what follows is the point
        signal.raise_signal(signal.SIGINT)
        saved.append("after it")
    assert saved
    with pytest.raises(KeyboardInterrupt):  # at once again
        signal.raise_signal(signal.SIGINT)
    with learning.interrupts_held():
        saved.append("without it")
    assert len(saved) == 2
