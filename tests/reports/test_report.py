"""A report says what its documents say of these very files, escapes what it did not write, and survives gaps."""

from __future__ import annotations

import json
import math
import re
import shlex
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from commands import run_here
from places import ROOT
from report_home import COUNT, Home
from small_artifacts import change, sha256

import edge_squeeze
from edge_squeeze.errors import MissingDependencyError, UsageError
from edge_squeeze.reports import charts, document

Document = dict[str, Any]
ATTACK = "<script>alert(1)</script>"


class Outline(HTMLParser):
    """The tags of a page with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.text += " "

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] != "style":
            self.text += data

    def words(self) -> str:
        return " ".join(self.text.split())


def edited(home: Home, tmp_path: Path, name: str, edit: Callable[[Document], None]) -> Path:
    """A copy of the benchmark or the evaluation of `home`, changed by `edit`."""
    content = json.loads(getattr(home, name).read_text())
    edit(content)
    (tmp_path / f"{name}.json").write_text(json.dumps(content))
    return tmp_path / f"{name}.json"


def test_every_figure_is_that_of_its_document_and_carries_the_sha256_of_its_file(home: Home, tmp_path: Path) -> None:
    out = tmp_path / "page.html"
    made = edge_squeeze.report(home.artifacts, benchmark=home.benchmark, evaluation=home.evaluation, out=out)
    assert repr(made).startswith("<Report of 20")
    saved = json.loads((tmp_path / "page.json").read_text())
    assert saved["schema"] == "edge_squeeze.report/1"
    arms = json.loads(home.benchmark.read_text())["arms"]
    figures = json.loads(home.evaluation.read_text())["artifacts"]
    outline = Outline(out.read_text())
    hashes = {attributes.get("data-sha256") for _, attributes in outline.tags}
    for subject, arm, accuracy in zip(saved["artifacts"], arms, figures, strict=True):
        parity = json.loads(Path(subject["folder"], "parity.json").read_text())["sets"][0]["figures"]
        (latency,) = subject["latency"]
        assert subject["sha256"] == latency["sha256"] == subject["accuracy"][0]["sha256"] == arm["model"]["sha256"]
        assert (latency["p50_ms"], latency["p50_interval"]) == (arm["summary"]["p50_ms"], arm["summary"]["p50_ci95"])
        assert (latency["validity"], latency["profile"]) == (arm["validity"], "standard")
        assert subject["accuracy"][0]["top1"] == accuracy["top1"]
        assert (subject["parity"]["kl"], subject["parity"]["agreement"]) == (parity["kl"], parity["top1_agreement"])
        assert sum(subject["parity"]["histogram"]) == parity["pictures"]
        worst = max(row["kl"] for row in parity["per_picture"])
        assert subject["parity"]["kl_highest"] == subject["parity"]["worst"][0]["kl"] == worst
        assert f"{arm['summary']['p50_ms']:.2f}" in outline.words()
        assert f"{100 * accuracy['top1']:.1f}" in outline.words()
        assert subject["sha256"] in hashes
        assert subject["sha256"][:12] in outline.words()
    assert {source["sha256"] for source in saved["sources"]} <= hashes
    for command in ("edge-squeeze benchmark", "edge-squeeze evaluate colors --images images --json"):
        assert command in outline.words()
    first, second = (subject["latency"][0] for subject in saved["artifacts"])
    assert (first["verdict"], second["verdict"]) == ("baseline", "improvement")
    assert second["baseline"] == "colors-tflite-float32"
    assert document.load(tmp_path / "page.json") == made


def test_the_recommended_file_is_named_with_the_reason(home: Home, tmp_path: Path) -> None:
    made = edge_squeeze.report(home.artifacts, benchmark=home.benchmark, out=tmp_path / "page.html")
    (choice,) = made.choices
    assert (choice.recommended, choice.sha256) == ("colors-tflite-int8", home.sha256(1))
    assert choice.reason.startswith("The fastest file that passed its proof.")
    ratio = choice.candidates[0].latency_ms / choice.candidates[1].latency_ms  # type: ignore[operator]
    assert math.isclose(ratio, 4, rel_tol=0.01)
    assert f"It is {ratio:.3g} times as fast as colors-tflite-float32." in choice.reason
    words = Outline((tmp_path / "page.html").read_text()).words()
    assert "Recommended colors-tflite-int8" in words
    assert choice.reason in words


def test_parity_is_computed_again_on_pictures_of_the_users(home: Home, tmp_path: Path) -> None:
    proof = edge_squeeze.verify(home.artifacts[1], images=home.images).proof
    assert proof is not None
    made = edge_squeeze.report(home.artifacts[1], images=home.images, out=tmp_path / "page.html")
    parity = made.artifacts[0].parity
    assert (parity.origin, parity.pictures, parity.kl) == ("report", COUNT, proof.parity.kl)
    row = proof.pictures.names.index(parity.worst[0].picture)
    assert parity.worst[0].kl == max(proof.parity.per_picture["kl"]) == proof.parity.per_picture["kl"][row]
    assert {each.picture: each.cosine for each in parity.worst} == dict(
        zip(proof.pictures.names, proof.parity.per_picture["cosine"], strict=True)
    )
    for each in parity.worst:
        answer = edge_squeeze.load(home.artifacts[1]).predict(home.images / each.picture)[0]
        assert each.artifact is not None
        assert (each.artifact.label, each.artifact.score) == (answer.label, pytest.approx(answer.score))
        assert (each.original == each.artifact or each.original.label == each.artifact.label) or not each.agrees  # type: ignore[union-attr]
    pictures = [attributes for tag, attributes in Outline((tmp_path / "page.html").read_text()).tags if tag == "img"]
    assert 1 <= len(pictures) <= 6
    assert all(str(each["src"]).startswith("data:image/jpeg;base64,/9j/") for each in pictures)
    assert pictures[0]["alt"] == f"{parity.worst[0].picture}, as the network sees it"


def test_golden_files_that_differ_fail_the_file(home: Home, tmp_path: Path) -> None:
    own = Path(shutil.copytree(home.artifacts[1], tmp_path / "own"))
    for scores in (own / "golden").glob("scores-*"):
        scores.write_bytes(b"\0" * scores.stat().st_size)
    made = edge_squeeze.report(own, images=home.images, out=tmp_path / "page.html")
    assert made.artifacts[0].parity.verdict == "fail"
    assert made.artifacts[0].parity.reason.startswith("golden files: pixels equal, scores within ")
    assert made.choices[0].recommended is None


def rename(at: str) -> Callable[[Document], None]:
    """Makes the sha256 of the first model that of another file."""

    def edit(content: Document) -> None:
        place = content["arms"][0]["model"] if at == "benchmark" else content["artifacts"][0]
        place["sha256"] = "f" * 64

    return edit


@pytest.mark.parametrize(
    ("name", "edit", "message"),
    [
        ("benchmark", rename("benchmark"), r"figures of another file: its colors-tflite-float32 has .* ffffffffffff,"),
        ("evaluation", rename("evaluation"), r"figures of another file: .*Run `edge-squeeze evaluate` on the artifact"),
        ("benchmark", lambda content: content.update(schema="edge_squeeze.bench/2"), r"Required: schema .*/1\. Got: "),
        ("evaluation", lambda content: content.update(schema="x" * 99), r"evaluate ARTIFACT... --images DIR --json"),
        ("benchmark", lambda content: content.update(schema="edge_squeeze.evaluation/1"), "Pass it with --evaluation"),
        ("benchmark", lambda content: content.pop("arms"), "lacks arms"),
        ("benchmark", lambda content: content["arms"].clear(), "no figures of these artifacts, only of nothing"),
        (
            "benchmark",
            lambda content: content["arms"][1]["summary"].update(p50_ms=0.5),
            r"p50 of .*int8.* is 0\.5 ms, that of its launches (1|0\.99)",
        ),
        ("evaluation", lambda content: content["artifacts"][0].update(top1=1.0), "are not those of its pictures"),
    ],
)
def test_figures_of_another_file_or_kind_are_refused(
    home: Home, tmp_path: Path, name: str, edit: Callable[[Document], None], message: str
) -> None:
    documents = {name: edited(home, tmp_path, name, edit)}
    with pytest.raises(UsageError, match=message):
        edge_squeeze.report(home.artifacts, out=tmp_path / "page.html", **documents)  # type: ignore[arg-type]
    assert not list(tmp_path.glob("page.*"))


def test_an_artifact_whose_proof_is_of_another_file_is_refused(home: Home, tmp_path: Path) -> None:
    own = Path(shutil.copytree(home.artifacts[0], tmp_path / "own"))
    content = json.loads((own / "parity.json").read_text())
    (own / "parity.json").write_text(json.dumps({**content, "sha256": "f" * 64}))
    with pytest.raises(UsageError, match="has the figures of another file"):
        edge_squeeze.report(own, out=tmp_path / "page.html")
    (own / "parity.json").write_text(json.dumps(content))
    edge_squeeze.report(own, out=tmp_path / "page.html")
    with pytest.raises(UsageError, match=r"given twice\. Leave one of them out"):
        edge_squeeze.report([own, own], out=tmp_path / "page.html")


def test_files_that_are_not_in_the_report_are_left_out_and_named(home: Home, tmp_path: Path) -> None:
    made = edge_squeeze.report(home.artifacts[1], benchmark=home.benchmark, out=tmp_path / "page.html")
    assert made.notes == [f"{home.benchmark} is also about files that are not in this report: colors-tflite-float32"]
    assert [each.sha256 for each in made.artifacts[0].latency] == [home.sha256(1)]


def test_what_comes_from_elsewhere_is_escaped(home: Home, tmp_path: Path) -> None:
    own = Path(shutil.copytree(home.artifacts[1], tmp_path / "own"))
    labels = "\n".join([ATTACK] * 7) + "\n"
    (own / "labels.txt").write_text(labels)
    change(own, labels__sha256=sha256(labels.encode()), command=f"edge-squeeze '{ATTACK}'", quantizer=ATTACK)
    images = tmp_path / "images"
    images.mkdir()
    for at, file in enumerate(sorted(home.images.glob("*.png"))[:8]):
        shutil.copy(file, images / f'{at}"><img src=x onerror=alert(1)>.png')

    def edit(content: Document) -> None:
        content["cpu"]["name"] = content["session_id"] = ATTACK
        for arm in content["arms"]:
            arm["runtime"]["name"] = arm["validity"] = ATTACK
            arm["checks"] = [{"id": ATTACK, "status": "fail", "hint": '"><svg onload=alert(1)>'}]

    benchmark = edited(home, tmp_path, "benchmark", edit)
    edge_squeeze.report(own, benchmark=benchmark, images=images, out=tmp_path / "page.html", command=ATTACK)
    outline = Outline((tmp_path / "page.html").read_text())
    assert not [tag for tag, _ in outline.tags if tag in ("script", "iframe", "object", "base", "form")]
    assert not [name for _, attributes in outline.tags for name in attributes if name.startswith("on")]
    assert {str(attributes["src"])[:5] for tag, attributes in outline.tags if "src" in attributes} == {"data:"}
    assert outline.text.count(ATTACK) > 5
    assert "onerror=alert(1)>.png" in outline.text
    policy = next(each["content"] for _, each in outline.tags if each.get("http-equiv") == "Content-Security-Policy")
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_gaps_and_nan_do_not_break_it(home: Home, tmp_path: Path) -> None:
    own = Path(shutil.copytree(home.artifacts[0], tmp_path / "own"))
    content = json.loads((own / "parity.json").read_text())
    figures = content["sets"][0]["figures"]
    figures["kl"], figures["max_abs"], figures["per_picture"][0]["kl"] = math.nan, math.inf, math.nan
    (own / "parity.json").write_text(json.dumps(content))

    def edit(content: Document) -> None:
        summary = content["arms"][0]["summary"]
        summary["p90_ms"], summary["p50_ci95"] = math.nan, [math.nan, 5.0]
        content["comparisons"][0]["ci95"] = [1.0]
        summary.pop("first_ms")

    made = edge_squeeze.report(own, benchmark=edited(home, tmp_path, "benchmark", edit), out=tmp_path / "page.html")
    parity, latency = made.artifacts[0].parity, made.artifacts[0].latency[0]
    assert (parity.kl, parity.max_abs, latency.p90_ms, latency.p50_interval) == (None, None, None, None)
    assert parity.worst[0].picture == figures["per_picture"][0]["picture"], "what is not a number is the worst"
    words = Outline((tmp_path / "page.html").read_text()).words()
    assert not re.search(r"(?i)\b(nan|inf|none)\b", words)
    assert json.loads((tmp_path / "page.json").read_text())["artifacts"][0]["parity"]["kl"] is None

    def fail(content: Document) -> None:
        for arm in content["arms"]:
            arm.update(summary=None, launches=[], failure="it crashed", validity=None)

    (own / "parity.json").unlink()
    edge_squeeze.report(own, benchmark=edited(home, tmp_path, "benchmark", fail), out=tmp_path / "page.html")
    assert "it crashed" in Outline((tmp_path / "page.html").read_text()).words()


def test_a_missing_package_is_named_with_its_extra(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_squeeze.packages.is_installed", lambda _: False)
    with pytest.raises(MissingDependencyError, match=r'jinja2 is not installed.*pip install "edge-squeeze\[report\]"'):
        edge_squeeze.report(home.artifacts, out=tmp_path / "page.html")


def test_the_command_of_its_page_works(home: Home, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "report.md").read_text()
    *_, command = re.findall(r"(?m)^edge-squeeze (.*)$", page.partition("```sh\n")[2].partition("```")[0])
    (tmp_path / "out").mkdir()
    for artifact, precision in zip(home.artifacts, ("float32", "int8"), strict=True):
        (tmp_path / "out" / f"squeezenet1.1-tflite-{precision}").symlink_to(artifact)
    for saved in (home.benchmark, home.evaluation):
        shutil.copy(saved, tmp_path)
    done = run_here(tmp_path, *shlex.split(command))
    assert done.returncode == 0, done.stderr
    assert "colors-tflite-int8: The fastest file that passed its proof." in " ".join(done.stdout.split())


def debugged(home: Home, tmp_path: Path, **changes: Any) -> Path:
    """What `debug --json` prints of the int8 artifact, by its documented keys."""
    leg = {"name": "quantization", "way": "float to reference", "kl": 0.0035, "kl_interval": [0.003, 0.004]}
    shares = {"agreement": -0.05, "agreement_interval": [-0.1, 0.0], "kl_after": 0.0036, "agreement_after": 0.95}
    layer = {"kind": "Conv2D", "snr_db": 31.2, "kl_weights": 0.001, "kl_activations": 0.002, "gain": 0.0015}
    layers = [
        {**layer, "layer": ATTACK, "gain_interval": [-0.001, 0.002], "cost_us": 12.0, "gain_per_us": 0.000125},
        {"layer": "x", "gain": None},
    ]
    document = {
        "schema_version": 1,
        "name": "colors-tflite-int8",
        "sha256": home.sha256(1),
        "pictures": "8 pictures",
        "runtime": "litert 2.3.0",
        "legs": [leg | shares],
        "layers": layers * 8,
    }
    (tmp_path / "debug.json").write_text(json.dumps(document | changes))
    return tmp_path / "debug.json"


def test_where_the_loss_comes_from_is_shown_leg_by_leg_and_layer_by_layer(home: Home, tmp_path: Path) -> None:
    made = edge_squeeze.report(home.artifacts, debug_result=debugged(home, tmp_path), out=tmp_path / "page.html")
    assert [len(each.losses) for each in made.artifacts] == [0, 1]
    (loss,) = made.artifacts[1].losses
    assert (loss.legs[0].kl, loss.layers[0].gain, loss.layers[1].snr_db) == (0.0035, 0.0015, None)
    outline = Outline((tmp_path / "page.html").read_text())
    words = outline.words()
    assert "quantization float to reference +3.50 +3.00 to +4.00 -5.00 -10.00 to +0.00 3.60" in words
    assert f"{ATTACK} +2.000 +1.000 31 -1.500 -2.000 to +1.000 12 125.0 per ms" in words
    assert "4 further layers" in words
    assert "not recorded" in words.partition("Commands")[2], "an older document does not say what made it"
    by = "edge-squeeze debug colors-tflite-int8 --json"
    path = debugged(home, tmp_path, command=by, created_utc="2026-11-27T06:00:00+00:00")
    (source,) = edge_squeeze.report(home.artifacts, debug_result=path, out=tmp_path / "page.html").sources
    assert (source.command, source.created_utc) == (by, "2026-11-27T06:00:00+00:00")
    assert by in Outline((tmp_path / "page.html").read_text()).words()
    bars = [attributes for _, attributes in outline.tags if attributes.get("class") == "outputs"]
    assert len(bars) == 8
    assert float(str(bars[0]["width"]).rstrip("%")) == pytest.approx(96 / 1.04, abs=0.1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema_version": 2}, r"Required: what `edge-squeeze debug ARTIFACT --json` prints \(.* 1\)\. Got: 2"),
        ({"sha256": "f" * 64}, r"figures of another file: its colors-tflite-int8 .*Run `edge-squeeze debug`"),
        ({"name": "another", "sha256": "f" * 64}, "no figures of these artifacts, only of another"),
        ({"legs": "none"}, "legs must be a list"),
    ],
)
def test_losses_of_another_file_or_kind_are_refused(
    home: Home, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    path = debugged(home, tmp_path, **changes)
    with pytest.raises(UsageError, match=message):
        edge_squeeze.report(home.artifacts, debug_result=path, out=tmp_path / "page.html")


def test_the_files_with_layers_in_float_that_were_tried_are_listed(home: Home, tmp_path: Path) -> None:
    own = Path(shutil.copytree(home.artifacts[1], tmp_path / "own"))
    point = {"kl": 0.02, "agreement": 0.9, "gain_interval": [0.0, 0.0], "latency_us": 1500.0, "size_bytes": 1_200_000}
    better = point | {
        "kept": [ATTACK],
        "agreement": 0.95,
        "kl": 0.01,
        "gain_interval": [0.01, 0.09],
        "latency_us": 1600.0,
    }
    frontier = {"schema_version": 1, "points": [point | {"kept": []}, better]}
    (own / "frontier.json").write_text(json.dumps(frontier))
    made = edge_squeeze.report(own, out=tmp_path / "page.html")
    assert [len(each.kept) for each in made.artifacts[0].frontier] == [0, 1]
    agreement, divergence = charts.frontier(made.artifacts[0].frontier)
    for chart in (agreement, divergence):
        assert [mark.letter for mark in chart.marks] == ["0", "1"]
        assert chart.marks[0].x < chart.marks[1].x
    assert agreement.marks[0].y > agreement.marks[1].y, "more is drawn above"
    assert divergence.marks[0].y < divergence.marks[1].y, "less KL is drawn below"
    integers, mixed = agreement.marks
    assert integers.y_interval is None
    assert mixed.y_interval == pytest.approx([100 - agreement.y.at(0.91), 100 - agreement.y.at(0.99)])
    assert charts.frontier(made.artifacts[0].frontier[:1]) == [], "one file is not a line"
    words = Outline((tmp_path / "page.html").read_text()).words()
    assert "none 0 1.20 1.50 0.02 90.0" in words
    assert f"{ATTACK} 1 1.20 1.60 0.01 95.0 +1.00 to +9.00" in words
    (own / "frontier.json").write_text("[]")
    assert edge_squeeze.report(own, out=tmp_path / "page.html").artifacts[0].frontier == []
    (own / "frontier.json").write_text('{"points": 1}')
    with pytest.raises(UsageError, match=r"frontier\.json: points must be a list"):
        edge_squeeze.report(own, out=tmp_path / "page.html")
