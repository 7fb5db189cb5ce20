"""`edge-squeeze models`: what it lists and shows."""

from __future__ import annotations

import json
import subprocess

import commands
import pytest
from places import ROOT

from edge_squeeze.networks.variants import VARIANTS


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return commands.run_here(ROOT, "models", *arguments)


def test_every_network_is_listed_with_its_counts() -> None:
    done = run()
    table, about, _ = done.stdout.split("\n\n")
    rows = {line.split()[0]: line.split() for line in table.splitlines()[1:]}
    assert about.replace("\n  ", " ").splitlines() == [f"{name}: {row.about}." for name, row in VARIANTS.items()]
    assert rows.keys() == VARIANTS.keys()
    assert rows["squeezenet1.0"][1:6] == ["227x227", "1,000", "1,248,424", "832,667,936", "imagenet"]
    assert rows["squeezenet-lab"][1:6] == ["32x32", "10", "240,842", "26,050,560", "yours"]


def test_a_network_is_shown_as_in_table_1() -> None:
    lines = run("show", "squeezenet1.0").stdout.splitlines()
    assert lines[0].split() == ["layer", "output", "filter", "s1x1", "e1x1", "e3x3", "parameters", "MACs"]
    assert "fire2    55x55x128            16    64    64      11,920   35,622,400" in lines
    assert lines[16].split() == ["total", "1,248,424", "832,667,936"]
    assert lines[0].endswith(" MACs")  # over its figures


def test_options_show_another_network() -> None:
    document = json.loads(
        run("show", "squeezenet-composable", "--bypass", "complex", "--classes", "10", "--json").stdout
    )
    assert document["design"] == {"bypass": "complex"}
    assert [layer["bypass"] for layer in document["layers"] if layer["name"] in ("fire2", "fire3")] == [
        "complex",
        "simple",
    ]
    assert document["parameters"] == sum(layer["parameters"] for layer in document["layers"]) == 1_589_672 - 990 * 513
    assert "fire3" in run("show", "squeezenet-composable", "--bypass", "simple").stdout


def test_what_is_open_is_said() -> None:
    assert (
        "The input size is open: outputs and MACs are those at 224x224."
        in run("show", "squeezenet-mlt", "--input-size", "any").stdout
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["squeezenet2"], "Unknown variant"),
        (["squeezenet1.0", "--squeeze-ratio", "0"], "squeeze_ratio must be 0.0078125 to 1"),
        (["squeezenet1.0", "--input-size", "20"], "must be 21 to 4096 pixels"),
        (["squeezenet1.0", "--input-size", "20x"], "HEIGHTxWIDTH or any"),
        ([], "variant"),
    ],
)
def test_what_cannot_be_shown_is_refused(arguments: list[str], message: str) -> None:
    done = run("show", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout
