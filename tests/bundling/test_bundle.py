from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from small_artifacts import CLASSES, HEIGHT, WIDTH, change, contents, make, sha256, tree

import edge_squeeze
from edge_squeeze.bundling import bundle
from edge_squeeze.errors import FailedParityError, UsageError


@pytest.fixture
def net(tmp_path: Path) -> Path:
    return make(tmp_path / "out", "net")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "app" / "models"


def listed(target: Path) -> list[dict[str, Any]]:
    index = json.loads((target / "index.json").read_text())
    assert index["schema_version"] == 1
    entries: list[dict[str, Any]] = index["artifacts"]
    return entries


def size(files: dict[str, bytes]) -> int:
    return sum(map(len, files.values()))


def test_what_model_json_names_is_copied_and_nothing_else(net: Path, target: Path) -> None:
    (copy,) = edge_squeeze.bundle(net, target)
    assert tree(target / "net") == contents("net")
    assert [path.name for path in sorted(target.iterdir())] == ["index.json", "net"]
    assert listed(target) == [{"folder": "net", "name": "net", "size_bytes": size(contents("net"))}]
    assert (copy.folder, copy.change, copy.size_bytes) == (target / "net", "added", size(contents("net")))
    assert copy.manifest.name == "net"
    assert copy.warning is None


def test_a_replaced_artifact_keeps_its_place_and_no_old_file(tmp_path: Path, target: Path) -> None:
    edge_squeeze.bundle([make(tmp_path / "out", name) for name in ("b", "a")], target)
    (target / "b" / "old.txt").touch()
    newer = make(tmp_path / "newer", "b", model=b"a newer model")
    copies = edge_squeeze.bundle([make(tmp_path / "out", "c"), newer], target)
    assert [copy.change for copy in copies] == ["added", "replaced"]
    assert [entry["name"] for entry in listed(target)] == ["b", "a", "c"]
    assert tree(target / "b") == contents("b", b"a newer model")
    assert listed(target)[0]["size_bytes"] == size(contents("b", b"a newer model"))


def test_a_name_that_android_would_drop_becomes_another_folder_which_it_keeps(tmp_path: Path, target: Path) -> None:
    out = tmp_path / "out"
    edge_squeeze.bundle([make(out, "_net"), make(out, ".net"), make(out, "net~")], target)
    assert [(entry["folder"], entry["name"]) for entry in listed(target)] == [
        ("net", "_net"),
        ("net-2", ".net"),
        ("net-", "net~"),
    ]
    (copy,) = edge_squeeze.bundle(make(tmp_path / "newer", ".net", b"newer"), target)
    assert (copy.folder.name, copy.change) == ("net-2", "replaced")


def test_removing_spares_the_others(tmp_path: Path, target: Path) -> None:
    edge_squeeze.bundle([make(tmp_path / "out", name) for name in ("a", "b", "c")], target)
    removed = bundle.remove(["a", "c", "a"], target)
    assert [entry.name for entry in removed] == ["a", "c"]
    assert [entry["name"] for entry in listed(target)] == ["b"]
    assert sorted(path.name for path in target.iterdir()) == ["b", "index.json"]
    with pytest.raises(UsageError, match=r"Unknown artifact: 'bb'\. Did you mean b\?"):
        bundle.remove(["b", "bb"], target)
    assert [entry["name"] for entry in listed(target)] == ["b"]
    bundle.remove(["b"], target)
    assert [path.name for path in target.iterdir()] == ["index.json"]
    with pytest.raises(UsageError, match="No artifact is bundled in"):
        bundle.remove(["b"], target)


def test_a_link_in_place_of_a_folder_is_removed_and_what_it_leads_to_is_not(net: Path, target: Path) -> None:
    edge_squeeze.bundle(net, target)
    (target / "net").rename(target / "elsewhere")
    (target / "net").symlink_to(target / "elsewhere")
    with pytest.raises(UsageError, match="is a link or a file, not a folder"):
        edge_squeeze.bundle(net, target)
    bundle.remove(["net"], target)
    assert sorted(path.name for path in target.iterdir()) == ["elsewhere", "index.json"]
    assert tree(target / "elsewhere") == contents("net")


def damage(folder: Path, name: str, data: bytes | None) -> None:
    path = folder / name
    path.unlink() if data is None else path.write_bytes(data)


DAMAGES = [
    ("model-int8.tflite", b"other", "is not the file that was exported"),
    ("model-int8.tflite", None, "lacks model-int8.tflite"),
    ("labels.txt", b"cat\ndog\n", "is not the file that was exported"),
    ("labels.txt", None, "lacks labels.txt"),
    ("golden/picture.png", b"no picture", "is not a picture"),
    ("golden/picture.png", None, "lacks golden/picture.png"),
    ("golden/pixels.rgb", bytes(HEIGHT * WIDTH * 3 - 1), "required 4 x 6 RGB pixels, 72 bytes, got 71 bytes"),
    ("golden/scores-xnnpack.f32", bytes(CLASSES * 4 + 1), "required 3 float32 scores, 12 bytes, got 13 bytes"),
    ("golden/scores-builtin.f32", None, "lacks golden/scores-builtin.f32"),
    ("model.json", b"{", "is not valid JSON"),
    ("model.json", b'{"schema_version": 3}', "reads schema_version 1 and 2, got 3"),
    ("model.json", None, "is not an artifact"),
]


@pytest.mark.parametrize(("name", "data", "message"), DAMAGES)
def test_a_damaged_artifact_is_refused_before_anything_is_written(
    tmp_path: Path, net: Path, target: Path, name: str, data: bytes | None, message: str
) -> None:
    good = make(tmp_path / "out", "good")
    damage(net, name, data)
    with pytest.raises(UsageError, match=message):
        edge_squeeze.bundle([good, net], target, force=True)
    assert not target.parent.exists()


@pytest.mark.parametrize(("name", "data", "message"), DAMAGES)
def test_a_damaged_copy_is_told_and_replaced_by_a_whole_one(
    net: Path, target: Path, name: str, data: bytes | None, message: str
) -> None:
    edge_squeeze.bundle(net, target)
    damage(target / "net", name, data)
    (listed_artifact,) = bundle.listing(target)
    assert listed_artifact.problem is not None
    assert message in listed_artifact.problem
    edge_squeeze.bundle(net, target)
    assert [artifact.problem for artifact in bundle.listing(target)] == [None]


def test_a_copy_that_is_not_what_the_index_says_is_told(tmp_path: Path, target: Path) -> None:
    edge_squeeze.bundle([make(tmp_path / "out", "a"), make(tmp_path / "out", "b", b"longer model")], target)
    (target / "a").rename(target / "c")
    (target / "b").rename(target / "a")
    problems = [artifact.problem for artifact in bundle.listing(target)]
    assert problems[0] == "its name is b. Bundle it again."
    assert problems[1] is not None
    assert "No such artifact" in problems[1]
    change(target / "a", name="a")
    assert "index.json says" in str(bundle.listing(target)[0].problem)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"golden__pixels": "../good/golden/pixels.rgb"}, "names a file outside its folder"),
        ({"golden__pixels": "/etc/passwd"}, "names a file outside its folder"),
        ({"golden__picture": "golden/../golden/picture.png"}, "required a plain path"),
        ({"golden__picture": "golden//picture.png"}, "required a plain path"),
        ({"labels__name": "./labels.txt"}, "required a plain path"),
        ({"golden__pixels": "a\0b"}, "does not name a valid file"),
        ({"golden__pixels": "a" * 5000}, "does not name a valid file|lacks"),
        ({"golden__pixels": "golden"}, "lacks golden"),
        ({"golden__pixels": ""}, "lacks"),
        ({"golden__pixels": "link"}, "names a file outside its folder"),
        ({"golden__pixels": "circle"}, "does not name a valid file|lacks circle"),  # as of Python 3.13 the latter
        ({"golden__scores": {}}, "names no golden scores"),
        ({"name": ""}, "name must be printable text"),
        ({"name": "\x1b[2J"}, "name must be printable text"),
        ({"name": "\ud800"}, "name must be printable text"),
        ({"parity__verdict": "great"}, "must be one of pass, fail, unproven, got 'great'"),
        ({"input_size": [4, 7]}, "input_size is"),
        ({"classes": 1 << 40}, "required 1099511627776 names, got 3"),
    ],
)
def test_a_hostile_model_json_is_refused(
    tmp_path: Path, net: Path, target: Path, values: dict[str, Any], message: str
) -> None:
    good = make(tmp_path / "out", "good")
    (net / "link").symlink_to(good / "golden" / "pixels.rgb")
    (net / "circle").symlink_to(net / "circle")
    change(net, **values)
    with pytest.raises(UsageError, match=message):
        edge_squeeze.bundle([good, net], target, force=True)
    assert not target.parent.exists()


@pytest.mark.parametrize("name", [".model.tflite", "model.tflite~", "model.gz", "_x/model.tflite", "modèle.tflite"])
def test_a_file_that_an_app_would_not_find_is_refused(net: Path, target: Path, name: str) -> None:
    (net / name).parent.mkdir(exist_ok=True)
    (net / name).write_bytes(b"model")
    change(net, file__name=name)
    with pytest.raises(UsageError, match="Android's packager drops, renames or refuses"):
        edge_squeeze.bundle(net, target)


@pytest.mark.parametrize(
    ("verdict", "error", "code", "message"),
    [
        ("fail", FailedParityError, 3, "failed its parity check: .* pass --force"),
        ("unproven", UsageError, 2, r"is unproven \(untrained weights\): .* --force"),
    ],
)
def test_what_is_not_proven_is_bundled_by_force_alone(
    tmp_path: Path, target: Path, verdict: str, error: type[UsageError], code: int, message: str
) -> None:
    folder = make(tmp_path / "out", verdict=verdict)
    with pytest.raises(error, match=message) as raised:
        edge_squeeze.bundle(folder, target)
    assert raised.value.exit_code == code
    assert not target.exists()
    (copy,) = edge_squeeze.bundle(folder, target, force=True)
    assert copy.warning is not None
    assert f"net was bundled by --force: {verdict}" in copy.warning


def test_model_and_labels_are_compared_with_their_sha256(net: Path, target: Path) -> None:
    change(net, file__sha256=sha256(b"other"))
    with pytest.raises(UsageError, match="is not the file that was exported"):
        edge_squeeze.bundle(net, target)


PATHS: dict[str, tuple[Callable[[Path, Path], tuple[list[Path], Path]], str]] = {
    "none": (lambda net, target: ([], target), "No ARTIFACT was passed"),
    "twice": (lambda net, target: ([net, net / "model.json"], target), "was passed twice"),
    "missing": (lambda net, target: ([net.parent / "missing"], target), "No such artifact"),
    "same name": (lambda net, target: ([net, make(target, "net")], target.parent / "x"), "are both named net"),
    "is target": (lambda net, target: ([net], net), "is an artifact. Required as the last path"),
    "in target": (lambda net, target: ([net], net.parent), "is in .* already"),
    "target inside": (lambda net, target: ([net], net / "models"), "is inside the artifact"),
    "file": (lambda net, target: ([net], net.parent / "file"), "is not a folder"),
    "below a file": (lambda net, target: ([net], net.parent / "file" / "models"), "Cannot write|Cannot read"),
    "too long": (lambda net, target: ([net], target / ("a" * 300)), "Cannot write|Cannot read"),
}


@pytest.mark.parametrize("case", PATHS)
def test_paths_in_each_others_way_are_told(net: Path, target: Path, case: str) -> None:
    (net.parent / "file").touch()
    choose, message = PATHS[case]
    paths, folder = choose(net, target)
    before = tree(net.parent.parent)
    with pytest.raises(UsageError, match=message):
        edge_squeeze.bundle(paths, folder)
    assert tree(net.parent.parent) == before
