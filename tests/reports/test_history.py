"""Reports over time: by name, with other files shown as such, and latencies of other devices kept apart."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from report_home import Home

import edge_squeeze
from edge_squeeze.errors import UsageError
from edge_squeeze.reports import charts
from edge_squeeze.reports.document import Report

OTHER = "f" * 64


@pytest.fixture(scope="module")
def saved(home: Home) -> Path:
    """The data of a report of both artifacts."""
    out = home.folder / "earlier" / "page.html"
    edge_squeeze.report(home.artifacts, benchmark=home.benchmark, evaluation=home.evaluation, out=out)
    return out.with_suffix(".json")


def age(saved: Path, folder: Path, day: int, **changes: Any) -> None:
    """Leave the report in `folder` as if it were of that day of 2020, its first artifact changed."""
    content = json.loads(saved.read_text())
    content["created_utc"] = f"2020-01-{day:02}T00:00:00+00:00"
    first = content["artifacts"][0]
    first.update({name: value for name, value in changes.items() if name in first})
    first["latency"][0].update({name: value for name, value in changes.items() if name in first["latency"][0]})
    folder.mkdir(exist_ok=True)
    (folder / f"{day}.json").write_text(json.dumps(content))


def report(home: Home, tmp_path: Path, at: int = 0) -> Report:
    return edge_squeeze.report(
        home.artifacts[at], benchmark=home.benchmark, out=tmp_path / "old" / "page.html", history=tmp_path / "old"
    )


def test_reports_are_compared_by_name_from_the_oldest_on(home: Home, saved: Path, tmp_path: Path) -> None:
    age(saved, tmp_path / "old", 2, size_bytes=900, p50_ms=5.0)
    age(saved, tmp_path / "old", 1, size_bytes=800, p50_ms=7.0, sha256=OTHER)
    (tmp_path / "old" / "notes.json").write_text('{"schema": "mine"}')
    (tmp_path / "old" / "broken.json").write_text("{")
    made = report(home, tmp_path)
    (course,) = made.history
    assert course.name == "colors-tflite-float32"
    p50 = made.artifacts[0].latency[0].p50_ms
    assert [each.latency_ms for each in course.moments] == [7.0, 5.0, p50]
    assert [each.size_bytes for each in course.moments] == [800, 900, made.artifacts[0].size_bytes]
    assert [each.sha256 for each in course.moments] == [OTHER, home.sha256(), home.sha256()]
    assert [each.changed for each in course.moments] == [False, True, False]
    page = (tmp_path / "old" / "page.html").read_text()
    assert page.count("NEW FILE") == 1
    assert f'data-sha256="{OTHER}"' in page
    assert json.loads((tmp_path / "old" / "page.json").read_text())["history"][0]["moments"][0]["latency_ms"] == 7.0
    again = report(home, tmp_path)  # its own data from before are replaced, and are not a moment
    assert len(again.history[0].moments) == 3


def test_latencies_of_another_device_are_listed_and_not_drawn(home: Home, saved: Path, tmp_path: Path) -> None:
    age(saved, tmp_path / "old", 1, device_id="another", p50_ms=99.0)
    age(saved, tmp_path / "old", 2, p50_ms=5.0)
    (course,) = report(home, tmp_path).history
    assert [each.latency_ms for each in course.moments][:2] == [99.0, 5.0]
    latency, *others = charts.trends(course)
    assert (latency.title, latency.points[0].value, len(latency.points)) == ("p50", 5.0, 2)
    assert [trend.title for trend in others] == ["Size", "Agreement", "Top-1"]
    assert [point.x for point in others[0].points] == [4, 50, 96]
    assert latency.points[0].y < latency.points[1].y, "less is drawn below"


def test_a_file_that_is_new_has_no_past(home: Home, saved: Path, tmp_path: Path) -> None:
    age(saved, tmp_path / "old", 1, name="another")
    (course,) = report(home, tmp_path).history
    assert [each.changed for each in course.moments] == [False]
    assert charts.trends(course) == []


def test_what_is_no_folder_of_reports_is_refused(home: Home, saved: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--history .*old is not a folder\. Required: a folder with the \.json files"):
        report(home, tmp_path)
    (tmp_path / "old").mkdir()
    shutil.copy(home.benchmark, tmp_path / "old")
    with pytest.raises(UsageError, match=r"--history .*old has no reports"):
        report(home, tmp_path)
    content = json.loads(saved.read_text())
    (tmp_path / "old" / "a.json").write_text(json.dumps({**content, "schema": "edge_squeeze.report/2"}))
    with pytest.raises(UsageError, match=r"a report of another version\. Required: schema edge_squeeze\.report/1"):
        report(home, tmp_path)
    content["artifacts"][0]["size_bytes"] = "many"
    (tmp_path / "old" / "a.json").write_text(json.dumps(content))
    with pytest.raises(UsageError, match=r"a\.json: artifacts\[0\]: size_bytes must be int, got"):
        report(home, tmp_path)
