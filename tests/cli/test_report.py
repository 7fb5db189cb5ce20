"""`report` as users type it: what it prints, writes and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from commands import run_here
from small_artifacts import make


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with an artifact, a saved document of another kind, and a page that is a folder."""
    make(tmp_path / "out")
    (tmp_path / "pages.html").mkdir()
    (tmp_path / "today.json").write_text('{"schema": "edge_squeeze.bench/1"}')
    (tmp_path / "future.json").write_text('{"schema": "edge_squeeze.bench/2"}')
    return tmp_path


def test_the_page_and_its_data_are_written_and_named(folder: Path) -> None:
    done = run_here(folder, "report", "out/net", COLUMNS="80")
    assert (done.returncode, max(map(len, done.stdout.splitlines())) <= 80) == (0, True), done.stderr
    assert "net: It passed its proof. No latency is known." in done.stdout
    assert "report.html opens in any browser. Its data: report.json." in done.stdout
    assert "edge-squeeze report out/net" in (folder / "report.html").read_text()
    done = run_here(folder, "report", "out/net", "--json", "--out", "new/page.html")
    assert json.loads(done.stdout) == json.loads((folder / "new" / "page.json").read_text())
    assert json.loads(done.stdout)["command"] == "edge-squeeze report out/net --json --out new/page.html"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("out/gone",), "No such artifact: out/gone"),
        (("out/net", "out/net"), "out/net is given twice. Leave one of them out."),
        (("out/net", "--benchmark", "gone.json"), "gone.json is missing, or is not a file"),
        (("out/net", "--benchmark", "future.json"), "Required: schema edge_squeeze.bench/1. Got: edge_squeeze.bench/2"),
        (("out/net", "--evaluation", "today.json"), "Got: edge_squeeze.bench/1. Pass it with --benchmark."),
        (("out/net", "--benchmark", "today.json"), "today.json lacks created_utc, session_id"),
        (("out/net", "--out", "page.pdf"), "--out page.pdf is not the name of a page. Required: a file that ends in"),
        (("out/net", "--out", "pages.html"), "--out pages.html is a folder. Required: a file"),
        (("out/net", "--out", "today.html"), "today.json, which exists and is not a report. Give --out another name."),
        (("out/net", "--out", "/proc/page.html"), "--out /proc/page.html cannot be written"),
        (("out/net", "--runtime", "litert"), "--runtime is only used to compute parity again. Add --images DIR"),
        (("out/net", "--images", "gone"), "No such file or folder: gone"),
    ],
)
def test_what_cannot_be_used_ends_with_2_and_leaves_nothing(
    folder: Path, arguments: tuple[str, ...], message: str
) -> None:
    before = sorted(folder.rglob("*"))
    done = run_here(folder, "report", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in " ".join(done.stderr.split())
    assert sorted(folder.rglob("*")) == before
