"""The script behind `make rivals`: what it refuses, what it compares by, and the tables that it writes."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from places import ROOT

spec = importlib.util.spec_from_file_location("rivals", ROOT / "tests" / "rivals.py")
assert spec is not None
assert spec.loader is not None
rivals = importlib.util.module_from_spec(spec)
spec.loader.exec_module(rivals)


def row(**figures: Any) -> dict[str, Any]:
    return {"bytes": 1_234_567, "agreement": 0.975, "kl": 0.00312, "top1": 0.5725, "ms": 1.104, **figures}


def test_a_table_has_a_line_for_each_file_and_our_own_stand_out() -> None:
    ours, stock, static = (contender.name for contender in rivals.CONTENDERS[:3])
    unlabeled = row(ratio=0.738, interval=[0.73, 0.7461])
    del unlabeled["top1"]
    rows = {static: {"failure": "ValueError: no such operator"}, ours: row(), stock: unlabeled}
    assert rivals.table(rows).splitlines()[2:] == [
        f"| **{ours}** | LiteRT | 1.23 | 97.5 % | 57.2 % | 0.0031 | 1.10 |  |",
        f"| {stock} | LiteRT | 1.23 | 97.5 % | - | 0.0031 | 1.10 | 0.74 (0.73 to 0.75) |",
        f"| {static} | LiteRT | failed: ValueError: no such operator | | | | | |",
    ]


def test_a_summary_puts_the_networks_side_by_side() -> None:
    rows = {contender.name: row() for contender in rivals.CONTENDERS}
    ours, stock, *_, last = (name for name in rows if rivals.INT8 in name)
    failed = {**rows, stock: {"failure": "refused"}}
    networks = {"squeezenet1.1": {"rows": rows}, "squeezenet1.0": {"rows": failed}}
    result = {"date": "2026-01-02", "device": "a board", "networks": networks}
    lines = rivals.summary(result).splitlines()
    assert lines[:4] == [
        "| int8 | 1.1 ms | agreement | top-1 | 1.0 ms | agreement | top-1 |",
        "|---|---|---|---|---|---|---|",
        f"| {ours} | 1.10 | 97.5 % | 57.2 % | 1.10 | 97.5 % | 57.2 % |",
        f"| {stock} | 1.10 | 97.5 % | 57.2 % | failed |  |  |",
    ]
    assert lines[-3].startswith(f"| {last} |")
    assert lines[-1] == "Measured 2026-01-02 on a board."


def test_every_rival_is_held_against_a_file_of_ours_of_its_precision() -> None:
    by_name = {contender.name: contender for contender in rivals.CONTENDERS}
    assert len(by_name) == len(rivals.CONTENDERS)
    for contender in rivals.CONTENDERS:
        assert contender.options
        if contender.ours is not None:
            assert by_name[contender.ours].ours is None
            assert by_name[contender.ours].precision == contender.precision


def test_a_file_is_timed_in_turn_with_ours() -> None:
    ours, stock, *_ = rivals.CONTENDERS
    slow = np.linspace(2.0, 2.2, 50)
    turns = {ours.name: slow / 2, stock.name: slow}
    assert rivals.timing(ours, turns) == {"ms": 1.01}
    assert rivals.timing(stock, turns)["ratio"] == 0.5
    low, high = rivals.timing(stock, turns)["interval"]
    assert 0.45 < low <= 0.5 <= high < 0.55


def test_figures_count_only_pictures_whose_class_is_known() -> None:
    original, answers = np.eye(4, dtype=np.float32)[[0, 1, 2, 3]], np.eye(4, dtype=np.float32)[[0, 1, 2, 0]]
    found = rivals.figures(original, answers, [[0], [2, 3], [], [0, 3]])
    assert (found["agreement"], found["top1"]) == (0.75, round(2 / 3, 5))
    assert found["kl"] > 1
    assert rivals.figures(original, original, [[]] * 4) == {"agreement": 1.0, "kl": 0.0}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--images", "/nowhere"], "No such file or folder: /nowhere."),
        (["--networks", "squeezenet9"], "Unknown network: squeezenet9. Choices: squeezenet1.1, squeezenet1.0."),
        (["--networks", "squeezenet1.0"], "squeezenet1.0 needs its weights. Run: make rivals WEIGHTS=FILE"),
        (["--rounds", "0"], "--rounds must be 1 or more, got 0."),
        (["--reuse", "--folder", "/nowhere"], "--reuse needs files in /nowhere/squeezenet1.1. Leave it out once."),
    ],
)
def test_what_would_fail_later_is_refused_at_once(
    words: list[str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rivals, "REQUIRED", ())
    with pytest.raises(rivals.RefusedError) as refused:
        rivals.check(rivals.parsed(words))
    assert str(refused.value) == expected


def test_rivals_that_are_not_installed_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rivals, "REQUIRED", ("no_such_rival", "numpy"))
    with pytest.raises(rivals.RefusedError, match=r"^Not installed here: no_such_rival\. Run: make rivals$"):
        rivals.check(rivals.parsed([]))


def test_a_rival_that_fails_gets_a_reason_and_ours_must_not() -> None:
    ours, stock, *_ = rivals.CONTENDERS
    assert rivals.failure(stock, ValueError("two\nlines")) == {"failure": "ValueError: two lines"}
    with pytest.raises(ValueError, match="two"):
        rivals.failure(ours, ValueError("two\nlines"))


def test_too_few_pictures_are_refused_and_others_shared_out(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for i in range(rivals.FEWEST - 1):
        (images / f"{i:02}.png").touch()
    with pytest.raises(rivals.RefusedError, match=r"has 19 pictures\. Required: 20 or more"):
        rivals.share_out(images, tmp_path)
    (images / "19.png").touch()
    assert rivals.share_out(images, tmp_path) == 20
    lists = [(tmp_path / name).read_text().split() for name in (rivals.CALIBRATE, rivals.EVALUATE)]
    assert [len(paths) for paths in lists] == [10, 10]
    assert not {*lists[0]} & {*lists[1]}


def test_the_documentation_shows_what_was_measured() -> None:
    result = json.loads(rivals.PUBLISHED.read_text())
    shown = [
        path.read_text().partition(rivals.BEGIN)[2].partition(rivals.END)[0]
        for path in (rivals.DOCUMENT, rivals.README)
    ]
    assert shown == [f"{rivals.document(result)}\n{rivals.options_table()}", rivals.summary(result)]
    for network in result["networks"].values():
        assert {*network["rows"]} == {contender.name for contender in rivals.CONTENDERS}


def test_versions_in_the_documentation_are_those_that_are_installed() -> None:
    pins = dict(re.findall(r"(?m)^([a-z-]+)==(\S+)$", (ROOT / "tests" / "rivals.txt").read_text()))
    versions = json.loads(rivals.PUBLISHED.read_text())["versions"]
    assert {name: versions[name] for name in pins if name in versions} == {
        name: version for name, version in pins.items() if name in versions
    }
    assert {"openvino", "nncf", "ncnn", "pnnx", "ai-edge-quantizer"} <= versions.keys()
