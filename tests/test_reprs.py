"""How results show themselves: in a line at the prompt, as a table in a notebook."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from synthetic import FakeDevice, measure, three_files

import edge_squeeze
from edge_squeeze.artifact.folder import Artifact
from edge_squeeze.benchmarks.result import Result
from edge_squeeze.bundling.bundle import Bundled
from edge_squeeze.converters.export import Exported, Exports
from edge_squeeze.pictures.loading import photograph
from edge_squeeze.prediction import Classification, Prediction
from edge_squeeze.training.training import Trained

LONGEST = 300  # characters; the folders of tests have long names


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("result")
        patch.setenv("EDGE_SQUEEZE_CACHE", str(folder / "cache"))
        device = FakeDevice({"a.": 10.0, "b.": 5.0, "c.": 10.0})
        device.broken = {"c."}
        return measure(three_files(folder), device)


def one_line(value: object, pattern: str) -> None:
    assert re.fullmatch(pattern, repr(value)), repr(value)
    assert len(repr(value)) < LONGEST


def cells(html: str) -> list[list[str]]:
    """The rows of a table of which every tag is a table's own, so that nothing else came through unescaped."""
    assert set(re.findall(r"<[^>]*>", html)) <= {
        f"<{end}{tag}>" for end in ("", "/") for tag in ("table", "tr", "th", "td")
    }
    return [re.findall(r"<t[hd]>(.*?)</t[hd]>", row) for row in re.findall(r"<tr>(.*?)</tr>", html)]


def test_exports(exported_11: dict[str, Exported]) -> None:
    export = exported_11["tflite-int8"]
    one_line(export, r"<Exported squeezenet1\.1-tflite-int8: PASS, 1\.37 MB, same top-1 9\d\.\d% \(\d+-\d+\), in .*>")
    one_line(
        export.proof, r"<Proof PASS: <Parity on 40 pictures: max\|d\| .*, PSNR \d+ dB, cosine 0\.\d{5}, same top-1 .*>>"
    )
    header, row = cells(Exports([export])._repr_html_())
    assert header == ["artifact", "verdict", "MB", "max|d|", "PSNR", "cosine", "same top-1 (95 %)"]
    assert row[:3] == ["squeezenet1.1-tflite-int8", "PASS", "1.37"]
    assert isinstance(Exports([export]), list)


def test_an_export_returns_them(tmp_path: Path) -> None:
    made = edge_squeeze.export("squeezenet-lab", weights="random", out=tmp_path)
    assert isinstance(made, Exports)
    assert made[0].folder.is_dir()


def test_verification_with_and_without_parity(float32_11: Artifact) -> None:
    verification = edge_squeeze.verify(float32_11.folder)
    name = r"squeezenet1\.1-tflite-float32"
    one_line(verification, rf"<Verification of {name}: golden files PASS; parity PASS>")
    one_line(verification.artifact, rf"<Artifact {name} in .*>")
    rows = cells(verification._repr_html_())
    assert [row[:2] for row in rows[1:]] == [["golden files", "PASS"], ["parity", "PASS"]]
    without = dataclasses.replace(verification, proof=None, without_proof="<TensorFlow> is not installed")
    one_line(without, rf"<Verification of {name}: golden files PASS; parity not checked>")
    assert cells(without._repr_html_())[2] == ["parity", "not checked", "&lt;TensorFlow&gt; is not installed"]


def test_classifier_and_classification(float32_11: Artifact) -> None:
    classifier = edge_squeeze.load(float32_11.folder)
    one_line(
        classifier, r"<Classifier squeezenet1\.1-tflite-float32: 1,000 classes, with litert .* \(xnnpack kernels\)>"
    )
    classification = classifier.classify(photograph("coffee"))
    one_line(classification, r"<Classification: espresso \d+\.\d%, [\w ]+ \d+\.\d%, [\w ]+ \d+\.\d%; \d+\.\d ms>")
    assert len(cells(classification._repr_html_())) == 6
    evil = Classification([Prediction("<script>alert('x')</script>", 3, 0.5)], 1.0, 1.0)
    assert cells(evil._repr_html_())[1] == ["&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;", "3", "50.0%"]


def test_benchmark(result: Result) -> None:
    one_line(result, r"<Result of standard on Board \(CPU\), 3 arms: lowest p50 [45]\.\d+ ms, of b\.tflite litert 1>")
    first, second, failed = result.arms
    one_line(first, r"<ArmResult a\.tflite litert 1: p50 (9|10)[.\d]* ms \([\d.]+-[\d.]+\), valid>")
    one_line(failed, r"<ArmResult c\.tflite litert 1: failed: .*c\.tflite is truncated, .* c\. is broken>")
    one_line(second.launches[0], r"<Launch of b\.tflite litert 1, timed, round 0: 50 samples>")
    pair = r"b\.tflite litert 1 against a\.tflite litert 1 by p50"
    one_line(result.comparisons[0], rf"<Comparison of {pair}: improvement, 0\.\d+ times \(0\.\d+-0\.\d+\)>")
    one_line(
        result.comparisons[1], r"<Comparison of .* by p50: incomparable: c\.tflite litert 1 could not be measured>"
    )
    rows = cells(result._repr_html_())
    assert rows[1][0] == "a.tflite"
    assert [row[-1] for row in rows[1:]] == ["-", "p50 improvement", "p50 incomparable"]
    assert re.fullmatch(r"failed: .*c\.tflite is truncated, .* c\. is broken", rows[3][-2])


def test_what_bundling_and_training_return(tmp_path: Path, exported_11: dict[str, Exported]) -> None:
    bundled = edge_squeeze.bundle(exported_11["tflite-int8"].folder, tmp_path / "app")[0]
    assert isinstance(bundled, Bundled)
    one_line(bundled, r"<Bundled squeezenet1\.1-tflite-int8: added, 1\.\d\d MB in .*>")
    trained = Trained(Path("trained/net"), 0.9832, (0.9639, 0.9924), 359, 0.1, dead=False, next_command="x" * 1000)
    one_line(trained, r"<Trained trained/net: accuracy 98\.3% \(96\.4%-99\.2%\) on 359 test pictures, learned>")
