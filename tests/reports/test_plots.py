"""Pages of one picture: what is drawn, and what is refused before any work."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from edge_squeeze.errors import MissingDependencyError, UsageError
from edge_squeeze.reports import charts, plots
from edge_squeeze.reports.document import Layer, Loss

ATTACK = "<script>alert(1)</script>"
LEG = {"name": "quantization", "way": "to int8", "kl": 0.003, "kl_interval": (0.002, 0.004), "agreement": -0.02}
LEG |= {"agreement_interval": (-0.05, 0.0), "kl_after": 0.003, "agreement_after": 0.98}
CONV1 = {"layer": "conv1", "kind": "Conv2D", "snr_db": 30.0, "kl_weights": 0.001, "kl_activations": 0.004}
CONV1 |= {"gain": 0.002, "gain_interval": (-0.001, 0.005), "cost_us": 20.0, "gain_per_us": 0.0001}
WORSE = CONV1 | {"layer": ATTACK, "gain": -0.001, "gain_interval": (-0.002, 0.0)}
POOL = {"layer": "pool", "snr_db": 30.0, "kl_weights": None, "kl_activations": None, "gain": None}


def document(**changes: Any) -> dict[str, Any]:
    """What `debug --json` prints, with tuples as in Python."""
    found = {"symptom": "calibration", "evidence": "seen", "text": f"Likely cause: {ATTACK}."}
    whole = {"name": "small-tflite-int8", "sha256": "a" * 64, "runtime": "litert 2.3.0", "pictures": "8 pictures"}
    return {**whole, "legs": [LEG], "layers": [CONV1, WORSE, POOL], "findings": [found], **changes}


def test_layers_are_drawn_with_what_they_give_back(tmp_path: Path) -> None:
    plots.save_loss(tmp_path / "new" / "loss.html", document())
    page = (tmp_path / "new" / "loss.html").read_text()
    assert ATTACK not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 3  # the cause, the layer, what its chart is called
    assert ">pool<" not in page, "a layer that rounds nothing has nothing to draw"
    gains = [tuple(map(float, each)) for each in re.findall(r'class="gain" x="([\d.]+)%" width="([\d.]+)%"', page)]
    axis = charts.Axis(-0.002 * 1.04e3, 0.005 * 1.04e3)
    assert gains == [
        (axis.at(0), pytest.approx(axis.width(0, 2), abs=0.01)),
        (axis.at(-1), pytest.approx(axis.width(-1, 0), abs=0.01)),
    ]
    assert "100.0 per ms" in page
    assert page.count("a" * 64) == 2  # the data and the tooltip of the file's hash
    assert "http:" not in page
    assert "https:" not in page


def test_the_scale_of_gains_begins_at_zero_where_none_is_negative() -> None:
    layers = [Layer(layer="a", gain=0.001), Layer(layer="b")]
    assert charts.gain_axis(Loss(name="", sha256="", legs=[], layers=layers)).low == 0
    assert charts.gain_axis(Loss(name="", sha256="", legs=[])).high > 0


def test_what_cannot_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plots.check(tmp_path / "new" / "loss.html")
    with pytest.raises(UsageError, match=r"--plot .*loss\.png is not the name of a page\. .*such as .*loss\.html"):
        plots.check(tmp_path / "loss.png")
    with pytest.raises(UsageError, match=r"--plot .* is a folder\. .*such as .*loss\.html"):
        plots.check(tmp_path)
    with pytest.raises(UsageError, match=r"--plot .* cannot be written"):
        plots.check(Path("/proc/loss.html"))
    monkeypatch.setattr("edge_squeeze.packages.is_installed", lambda _: False)
    with pytest.raises(MissingDependencyError, match=r'needed for --plot.*pip install "edge-squeeze\[report\]"'):
        plots.check(tmp_path / "loss.html")
