"""Calibration pictures from .npz files, which must say what their numbers mean."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from colored_pictures import blotches, save_blotches
from commands import CommandLine
from PIL import Image

from edge_squeeze.converters.quantization import calibration, pixel_arrays
from edge_squeeze.errors import UsageError
from edge_squeeze.pictures.loading import Sample, load_folder
from edge_squeeze.pictures.preprocessing import Preprocessing

PIXELS = np.stack([np.asarray(blotches(seed, (32, 32))) for seed in range(20)])
EXPORT = ("export", "squeezenet-lab", "--weights", "random", "--precision", "int8", "--quantizer", "stock")
ARTIFACT = "out/squeezenet-lab-tflite-int8-random-stock"
HOW = r"Write it with numpy\.savez\(FILE, pixels=PIXELS, order='rgb', range='0\.\.255'\)"


def written(folder: Path, **entries: Any) -> Path:
    path = folder / "set.npz"
    np.savez(path, **{name: value for name, value in entries.items() if value is not None})
    return path


@pytest.mark.parametrize(
    ("pixels", "order", "declared"),
    [
        (PIXELS, "rgb", "0..255"),
        (PIXELS[..., ::-1], "bgr", "0..255"),
        (PIXELS.astype(np.float32), "rgb", "0..255"),
        (PIXELS.astype(np.float16), "RGB", "0..255"),
        (PIXELS.astype(np.float64) / 255, "rgb", "0..1"),
        (PIXELS[..., ::-1].astype(np.float32) / 127.5 - 1, "bgr", "-1..1"),
        (np.asfortranarray(PIXELS), "rgb", "0..255"),
    ],
)
def test_every_way_to_declare_the_same_pixels(tmp_path: Path, pixels: np.ndarray, order: str, declared: str) -> None:
    read = pixel_arrays.read(written(tmp_path, pixels=pixels, order=order, range=declared))
    np.testing.assert_array_equal(read, PIXELS)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"pixels": PIXELS}, "Required: pixels, order and range"),
        ({"pixels": PIXELS, "order": "rgb"}, "Required: pixels, order and range"),
        ({"pixels": PIXELS, "more": PIXELS, "order": "rgb", "range": "0..255"}, "Required: pixels, order and range"),
        ({"order": "rgb", "range": "0..255"}, "Required: pixels, order and range"),
        ({"pixels": PIXELS, "order": "grb", "range": "0..255"}, "order must be one of rgb, bgr, got 'grb'"),
        ({"pixels": PIXELS, "order": "rgb", "range": "0-255"}, "range must be one of 0..255, 0..1, -1..1, got '0-255'"),
        ({"pixels": PIXELS, "order": "rgb" * 999, "range": "0..255"}, "Required: a word"),
        ({"pixels": PIXELS[0], "order": "rgb", "range": "0..255"}, r"required pixels \[N,H,W,3\], got \[32, 32, 3\]"),
        ({"pixels": PIXELS[..., :1], "order": "rgb", "range": "0..255"}, r"required pixels \[N,H,W,3\]"),
        ({"pixels": PIXELS[:0], "order": "rgb", "range": "0..255"}, r"required pixels \[N,H,W,3\]"),
        ({"pixels": PIXELS.astype(int), "order": "rgb", "range": "0..255"}, "uint8 or float, got int64"),
        ({"pixels": PIXELS / 255, "order": "rgb", "range": "0..255"}, "values are 0 to 1, as if the range were 0..1"),
        ({"pixels": PIXELS / 127.5 - 1, "order": "rgb", "range": "0..255"}, "its values are -1 to 1. Required"),
        ({"pixels": PIXELS / 127.5 - 1, "order": "rgb", "range": "0..1"}, "its values are -1 to 1. Required"),
        ({"pixels": PIXELS / 255, "order": "rgb", "range": "-1..1"}, "values are 0 to 1, as if the range were 0..1"),
        ({"pixels": PIXELS * 2.0, "order": "rgb", "range": "0..255"}, "its values are 0 to 510. Required"),
        ({"pixels": PIXELS + np.nan, "order": "rgb", "range": "0..255"}, "its values are nan to nan"),
        ({"pixels": PIXELS, "order": "rgb", "range": "0..1"}, "but uint8 pixels are 0..255"),
        ({"pixels": PIXELS // 255, "order": "rgb", "range": "0..255"}, "as if the range were 0..1"),
        ({"pixels": np.array([None]), "order": "rgb", "range": "0..255"}, "cannot be read"),
    ],
)
def test_what_is_missing_or_inconsistent_is_refused_with_the_way_to_write_it(
    tmp_path: Path, entries: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=f"(?s){message}.*{HOW}"):
        pixel_arrays.read(written(tmp_path, **entries))


def test_damaged_and_hostile_files_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, pixels=PIXELS, order="rgb", range="0..255")
    whole = path.read_bytes()
    for data in (b"", b"PK\x03\x04", whole[:-40], whole[: len(whole) // 2], whole.replace(b"(20, 32", b"(99, 32")):
        path.write_bytes(data)
        with pytest.raises(UsageError, match=r"set\.npz"):
            pixel_arrays.read(path)
    header = io.BytesIO()
    shape = (1 << 20, 1 << 20, 1 << 10, 3)
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("pixels.npy", header.getvalue())
        for name in ("order", "range"):
            word = io.BytesIO()
            np.save(word, np.array({"order": "rgb", "range": "0..255"}[name]))
            archive.writestr(f"{name}.npy", word.getvalue())
    with pytest.raises(UsageError, match="in 0 bytes, which cannot be read"):
        pixel_arrays.read(path)
    with pytest.raises(UsageError, match="No such file"):
        pixel_arrays.read(tmp_path / "missing.npz")


def test_pictures_of_the_networks_size_are_taken_as_they_are_and_others_resized(tmp_path: Path) -> None:
    path, sample = written(tmp_path, pixels=PIXELS, order="rgb", range="0..255"), Sample(16, seed=1)
    as_they_are = pixel_arrays.load(path, Preprocessing(40, (32, 32)), Sample(200, seed=1))
    np.testing.assert_array_equal(as_they_are.pixels, PIXELS)
    assert (as_they_are.names[3], as_they_are.file_digests, as_they_are.seed) == ("picture 3", None, None)
    preprocessing = Preprocessing(20, (16, 16))
    drawn = pixel_arrays.load(path, preprocessing, sample)
    assert (drawn.description, drawn.seed, drawn.size) == (f"16 of the 20 pictures of {path}", 1, (16, 16))
    first = int(drawn.names[0].split()[1])
    np.testing.assert_array_equal(drawn.pixels[0], preprocessing.pixels(Image.fromarray(PIXELS[first])))


def test_samples_are_drawn_from_folders_by_number_and_seed(tmp_path: Path) -> None:
    folder = save_blotches(tmp_path / "pictures", 20)

    def drawn(count: int | None, seed: int) -> tuple[str, ...]:
        return load_folder(folder, Preprocessing(8, (8, 8)), sample=calibration.sample(count, seed)).names

    assert len(drawn(None, 1)) == len(drawn(30, 1)) == 20
    assert len(drawn(17, 1)) == 17
    assert drawn(17, 1) == drawn(17, 1) != drawn(17, 2)
    for count, seed, message in ((15, 1, "samples must be 16 or more, got 15"), (16, -1, "seed must be 0 or more")):
        with pytest.raises(UsageError, match=message):
            calibration.sample(count, seed)


def test_export_calibrates_on_an_array_file(command_line: CommandLine, tmp_path: Path) -> None:
    written(tmp_path, pixels=PIXELS, order="rgb", range="0..255")
    sampled = ("--calibration-samples", "18", "--calibration-seed", "5")
    done = command_line(*EXPORT, "--calibration", "set.npz", *sampled)
    assert done.returncode == 0, done.stderr
    assert "calibrates on 18 of the 20 pictures of set.npz (seed 5)" in " ".join(done.stderr.split())
    record = json.loads((tmp_path / ARTIFACT / "calibration.json").read_text())
    assert (record["count"], record["seed"]) == (18, 5)
    assert {picture["file_sha256"] for picture in record["pictures"]} == {None}
    written(tmp_path, pixels=PIXELS / 255, order="rgb", range="0..255")
    refused = command_line(*EXPORT, "--calibration", "set.npz")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "numpy.savez(FILE" in " ".join(refused.stderr.split())


def test_pictures_of_the_shipped_ranges_are_no_proof(command_line: CommandLine, imagenet_pictures: Path) -> None:
    done = command_line("export", "--precision", "int8", "--quantizer", "stock", "--images", imagenet_pictures)
    assert done.returncode == 2
    assert "calibrated on 200 of the 200 pictures" in " ".join(done.stderr.split())
