"""The page in a real browser: silent, self-contained, and as wide as the window, dark or light."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser import CHROMIUM, browser
from PIL import Image
from report_home import Home

import edge_squeeze
from edge_squeeze.reports import plots

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is on PATH")]
WIDER = """[...document.querySelectorAll('main *, header *, footer *')].filter(
  each => each.getBoundingClientRect().right > innerWidth + 1 && !each.closest('thead') && !each.closest('svg')
).length"""
SCROLL = "document.documentElement.scrollWidth"


@pytest.fixture(scope="module")
def report(home: Home) -> Path:
    out = home.folder / "page.html"
    edge_squeeze.report(
        home.artifacts, benchmark=home.benchmark, evaluation=home.evaluation, images=home.images, out=out
    )
    return out


def test_it_asks_for_nothing_complains_of_nothing_and_fits_every_window(report: Path, tmp_path: Path) -> None:
    shades = {}
    with browser() as page:
        for width in (360, 1280):
            for scheme in ("light", "dark"):
                page.open(report, width, scheme)
                assert page.value(SCROLL) == width
                assert page.value(WIDER) == 0
                assert page.value("document.images.length") > 0
                assert page.value("[...document.images].every(each => each.naturalWidth > 0)")
                page.screenshot(tmp_path / "shot.png")
                with Image.open(tmp_path / "shot.png") as shot:
                    shades[width, scheme] = shot.convert("L").getpixel((2, 2))
                    assert shot.height > 2000
        assert page.pdf().startswith(b"%PDF")
        assert {request for request in page.requests if not request.startswith("data:image/jpeg;")} == {report.as_uri()}
        assert page.complaints == []
    for width in (360, 1280):
        assert shades[width, "light"] > 240
        assert shades[width, "dark"] < 40


def test_a_plot_asks_for_nothing_and_fits_every_window(tmp_path: Path) -> None:
    point = {"kl": 0.02, "agreement": 0.9, "gain_interval": [0.0, 0.1], "latency_us": 1500.0, "size_bytes": 1_200_000}
    points = [point | {"kept": ["layer"] * number, "latency_us": 1500.0 + number} for number in range(4)]
    (tmp_path / "frontier.html").write_text(plots.frontier("small-int8-float-auto3", "a" * 64, {"points": points}))
    with browser() as page:
        for width in (360, 1280):
            page.open(tmp_path / "frontier.html", width)
            assert page.value(SCROLL) == width
            assert page.value(WIDER) == 0
            assert page.value("document.querySelectorAll('circle').length") == 8
        assert {*page.requests} == {(tmp_path / "frontier.html").as_uri()}
        assert page.complaints == []


def test_a_request_and_a_complaint_would_be_noticed(tmp_path: Path) -> None:
    page_with_both = "<p style='width:2000px'>x<img src='file:///nowhere.png'><script>console.error('no')</script>"
    (tmp_path / "bad.html").write_text(page_with_both)
    with browser() as page:
        page.open(tmp_path / "bad.html", 360)
        assert page.value(SCROLL) > 360
        assert "file:///nowhere.png" in page.requests
        assert any("no" in complaint for complaint in page.complaints)


def test_scripts_in_it_would_not_run(report: Path, tmp_path: Path) -> None:
    text = report.read_text().replace("</main>", "<script>document.title = 'run'</script></main>")
    (tmp_path / "page.html").write_text(text)
    with browser() as page:
        page.open(tmp_path / "page.html", 1280)
        assert page.value("document.title") != "run"
        assert any("Content Security Policy" in complaint for complaint in page.complaints)
