"""Model files, and those of several networks: told apart by what is sure alone, and compared within each."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from synthetic import DEFAULT, FakeDevice, measure, three_files

import edge_squeeze
from edge_squeeze.benchmarks import benchmark, model_files, report, result_files
from edge_squeeze.benchmarks.headline import headline
from edge_squeeze.benchmarks.model_files import Traits, group_traits, same_network
from edge_squeeze.benchmarks.options import BenchmarkOptions
from edge_squeeze.benchmarks.result import Result
from edge_squeeze.cli import benchmark_report
from edge_squeeze.cli.benchmark_report import Output
from edge_squeeze.converters.export import Exported
from edge_squeeze.errors import UsageError

BARE = Traits(None, None, ((3, 227, 227),), ((1000,),), 1_235_496)
PROVEN = dataclasses.replace(BARE, variant="squeezenet1.1", weights="abc")
BY_SIZE = BenchmarkOptions(gate=("p50", "size"))


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (BARE, BARE, True),
        (PROVEN, BARE, True),
        (PROVEN, dataclasses.replace(PROVEN, weights="trained again"), True),
        (PROVEN, dataclasses.replace(PROVEN, inputs=((3, 96, 96),), outputs=((10,),), parameters=700_000), True),
        (PROVEN, dataclasses.replace(PROVEN, variant="squeezenet1.0", weights="other"), False),
        (PROVEN, dataclasses.replace(PROVEN, variant="squeezenet1.1-bypass"), True),  # of the same weights
        (BARE, dataclasses.replace(BARE, parameters=1_350_000), True),
        (BARE, dataclasses.replace(BARE, parameters=1_360_000), False),
        (dataclasses.replace(BARE, parameters=1_360_000), BARE, False),
        (BARE, dataclasses.replace(BARE, inputs=((3, 224, 224),)), False),
        (BARE, dataclasses.replace(BARE, outputs=((10,),)), False),
        (BARE, dataclasses.replace(BARE, inputs=None), True),
        (BARE, Traits(), True),
        (dataclasses.replace(PROVEN, variant=None), dataclasses.replace(PROVEN, variant=None, outputs=((9,),)), True),
    ],
)
def test_only_what_surely_differs_sets_networks_apart(first: Traits, second: Traits, expected: bool) -> None:
    assert same_network(first, second) is same_network(second, first) is expected


def test_files_join_the_first_of_their_network() -> None:
    bigger = dataclasses.replace(BARE, parameters=5_000_000)
    assert group_traits([BARE, bigger, PROVEN, bigger, Traits()]) == [0, 1, 0, 1, 0]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small network's artifact, with the same classes as no other here."""
    out = tmp_path_factory.mktemp("lab")
    return edge_squeeze.export("squeezenet-lab", weights="random", format="all", out=out)[0].folder


def test_real_files_of_a_network_are_found_to_be_of_one(
    exported_11: dict[str, Exported], lab: Path, tmp_path: Path
) -> None:
    folders = [artifact.folder for artifact in exported_11.values()]
    bare = []
    for folder in (*folders, lab, *(entry for entry in lab.parent.iterdir() if entry != lab)):
        (model,) = [path for path in folder.iterdir() if path.suffix in (".tflite", ".onnx")]
        bare.append(Path(shutil.copy(model, tmp_path / f"{len(bare)}{model.suffix}")))
    numbers = model_files.groups(model_files.read_all([*folders, *bare, lab]))
    count = len(folders)
    assert numbers == [0] * count + [0] * count + [1] * 2 + [1]


def test_a_side_that_is_open_and_a_layout_tell_nothing() -> None:
    def tensors(*shapes: tuple[int | None, ...] | None) -> list[SimpleNamespace]:
        return [SimpleNamespace(shape=shape) for shape in shapes]

    def sides(*shapes: tuple[int | None, ...] | None) -> model_files.Sides | None:
        return model_files._sides(model_files._shapes(tensors(*shapes)))  # type: ignore[arg-type]

    assert sides((1, 3, 8, 9)) == sides((None, 8, 9, 3)) == ((3, 8, 9),)
    assert sides((1, 1000)) == sides((1, 1000, 1, 1))
    assert sides((1, None, 9, 3)) is sides(None) is None


@pytest.fixture
def two_networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_cache: None) -> list[Path]:
    """Files a and b of one network, c of another."""
    traits = {"a": BARE, "b": BARE, "c": Traits(None, None, ((3, 32, 32),), ((10,),), 240_000)}
    monkeypatch.setattr(model_files, "traits", lambda model: traits[model.path.stem])
    return three_files(tmp_path)


def measured(files: list[Path], options: BenchmarkOptions = BY_SIZE, **changes: float) -> Result:
    device = FakeDevice({"a.": 10.0, "b.": 5.0, "c.": 1.0} | {f"{name}.": ms for name, ms in changes.items()})
    return measure(files, device, options)


def test_each_network_has_a_baseline_and_an_answer_of_its_own(two_networks: list[Path]) -> None:
    result = measured(two_networks)
    assert {(comparison.base[0], comparison.cand[0]) for comparison in result.comparisons} == {("a", "b")}
    first, second = headline(result).splitlines()
    assert first.startswith("Fastest is b.tflite: ")
    assert "times as fast as a.tflite (improvement)" in first
    assert second.startswith("c.tflite: 1")
    columns, rows = report.table(result)
    times, verdicts = ([column.title for column in columns].index(title) for title in ("x faster", "verdict"))
    assert [row[times] for row in rows] == ["1.00", rows[1][times], "1.00"]
    assert 1.9 < float(rows[1][times]) < 2.1
    assert [row[verdicts] for row in rows] == ["baseline", "improvement", "-"]
    assert any(note.startswith("2 networks, each compared") for note in report.notes(result))
    assert all(line in result_files.markdown(result) for line in (first, second))


def test_across_networks_the_first_file_is_everybodys_baseline(two_networks: list[Path]) -> None:
    result = measured(two_networks, dataclasses.replace(BY_SIZE, across_networks=True))
    assert {(comparison.base[0], comparison.cand[0]) for comparison in result.comparisons} == {("a", "b"), ("a", "c")}
    assert headline(result).startswith("Fastest is c.tflite: ")
    assert not any("networks" in note for note in report.notes(result))


def test_a_saved_result_remembers_its_networks(two_networks: list[Path], tmp_path: Path) -> None:
    result = measured(two_networks)
    path = tmp_path / "r.json"
    result_files.save(path, result_files.dumps(result_files.to_json(result)))
    again = benchmark.replay(path, ["p50", "size"])
    assert again.comparisons == result.comparisons
    assert headline(again) == headline(result)
    document = json.loads(path.read_text())
    assert [arm["model"].pop("group") for arm in document["arms"]] == [0, 0, 1]
    path.write_text(json.dumps(document))  # as it was saved before there were networks
    assert {comparison.cand[0] for comparison in benchmark.replay(path, ["p50"]).comparisons} == {"b", "c"}
    assert {
        (comparison.base, comparison.cand) for comparison in benchmark.compare(path, path, ["p50"], force=False)
    } == {(arm.arm.id, arm.arm.id) for arm in result.arms}


def test_a_regression_is_one_within_a_network(two_networks: list[Path]) -> None:
    assert benchmark_report.exit_code(measured(two_networks, c=30.0), Output(fail_on_regression=True)) == 0
    assert benchmark_report.exit_code(measured(two_networks, b=30.0), Output(fail_on_regression=True)) == 8


def test_files_without_a_partner_are_refused_before_they_are_measured(two_networks: list[Path]) -> None:
    output = Output(fail_on_regression=True)
    a, b, c = model_files.read_all(two_networks)
    benchmark_report.check_comparable([a, b, c], DEFAULT)
    benchmark_report.check_comparable([a, c], BenchmarkOptions(across_networks=True))
    benchmark_report.check_comparable([a, c], BenchmarkOptions(threads=(1, 2)))
    with pytest.raises(UsageError, match="each of these is of another"):
        benchmark_report.check_comparable([a, c], DEFAULT)
    alone = measured([two_networks[0], two_networks[2]])
    with pytest.raises(UsageError, match="--across-networks"):
        benchmark_report.exit_code(alone, output)
