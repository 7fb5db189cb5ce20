"""Features are the same in memory and on disk, and views are changed as the augmentations say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from colored_pictures import draw

from edge_squeeze.pictures.loading import photograph
from edge_squeeze.pictures.presets import preset
from edge_squeeze.reporting import Silent
from edge_squeeze.training import collection, features
from edge_squeeze.training.features import Views, augmented

PREPROCESSING = preset("unit", (16, 16))


class Halves:
    """Stands for the frozen part: the mean of the left and of the right half."""

    output_shape = (None, 2)

    def predict_on_batch(self, inputs: np.ndarray) -> np.ndarray:
        return np.stack([inputs[:, :, :8].mean(axis=(1, 2, 3)), inputs[:, :, 8:].mean(axis=(1, 2, 3))], axis=1)


def test_past_the_limit_features_are_on_disk_and_are_taken_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = collection.load(collection.find(draw(tmp_path / "c", each=12)), PREPROCESSING, Silent(), in_memory=False)
    assert len(pictures.pixels) == 0, "nothing is kept in memory"
    views = Views(np.arange(36), 3, frozenset({"crop"}), seed=5)
    arguments = (views, pictures, PREPROCESSING, tmp_path / "features" / "train.npy", Silent())
    in_memory = features.compute(Halves(), *arguments)
    assert not (tmp_path / "features").exists()
    monkeypatch.setattr(features, "MOST_IN_MEMORY", 100)
    on_disk = features.compute(Halves(), *arguments)
    assert isinstance(on_disk, np.memmap)
    assert on_disk.dtype == np.float16
    assert np.array_equal(on_disk, in_memory)
    assert on_disk.shape == (108, 2)
    assert [path.name for path in (tmp_path / "features").iterdir()] == ["train.npy"]
    assert np.array_equal(features.compute(None, *arguments), in_memory), "they are not computed again"


def test_the_first_view_is_the_picture_and_a_seed_gives_the_same_views(tmp_path: Path) -> None:
    pictures = collection.load(collection.find(draw(tmp_path / "c", each=12)), PREPROCESSING, Silent())
    every = frozenset({"crop", "flip", "color"})
    first, again, other = (
        np.stack(list(Views(np.arange(4), 3, every, seed).pixels(pictures, PREPROCESSING))) for seed in (0, 0, 1)
    )
    assert np.array_equal(first[::3], pictures.pixels[:4])
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("name", ["crop", "flip", "color"])
def test_each_augmentation_does_only_what_its_name_says(name: str) -> None:
    picture = photograph("chelsea")
    changed = [augmented(picture, frozenset({name}), np.random.default_rng(seed)) for seed in range(6)]
    same = [np.array_equal(np.asarray(each), np.asarray(picture)) for each in changed]
    mirrored = [np.array_equal(np.asarray(each), np.asarray(picture)[:, ::-1]) for each in changed]
    if name == "flip":
        assert {(True, False), (False, True)} == set(zip(same, mirrored, strict=True))
    else:
        assert not any(same + mirrored)
    assert all((each.size == picture.size) == (name != "crop") for each in changed)
    assert np.array_equal(np.asarray(augmented(picture, frozenset(), np.random.default_rng(0))), np.asarray(picture))
