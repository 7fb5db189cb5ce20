"""What the README tells a user to type works, and what its tables say is what the code's tables say."""

from __future__ import annotations

import functools
import re
import shlex
from pathlib import Path

import commands
import pytest
from colored_pictures import save_blotches
from places import ROOT
from small_models import network
from typer.main import get_command

from edge_squeeze.cli.app import app
from edge_squeeze.cli.console import NO_NEXT
from edge_squeeze.converters.targets import all_targets
from edge_squeeze.doctor.examination import Installation
from edge_squeeze.formats import FORMATS, precisions
from edge_squeeze.models.weights import PUBLISHED
from edge_squeeze.networks.variants import VARIANTS
from edge_squeeze.pictures.loading import PHOTOGRAPHS, photograph

INCONCLUSIVE = 9
README, GUIDE = (ROOT / "README.md").read_text(), (ROOT / "docs" / "guide.md").read_text()
OUTPUT = [line.removeprefix("    ") for line in (README + GUIDE).splitlines() if line.startswith("    ")]
TITLES = ("target", "model", "artifact", "arm", "layers")  # the first columns of tables that it shows
HEADS = [line.split() for line in OUTPUT if line.startswith(TITLES) and "  " in line]
BLOCKS = re.findall(r"```sh\n(.*?)```", GUIDE + README, re.DOTALL)
COMMANDS = list(dict.fromkeys(line for block in BLOCKS for line in block.splitlines()))
EXPORT = "edge-squeeze export --format all --precision float32,int8"
BENCHMARK = next(command for command in COMMANDS if "--out today.json" in command)
PREPARES = {"out/": EXPORT, "today.json": BENCHMARK}  # the command that makes what others take, by how paths begin
# What tunes a whole network, goes through it layer by layer, or takes its time to measure.
LONG = ("edge-squeeze export --precision int8 --calibration", "edge-squeeze finetune", "edge-squeeze debug", BENCHMARK)
MOST_LINES, MOST_WORDS = 130, 1100


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the README speaks of, and those of the commands so far."""
    folder = tmp_path_factory.mktemp("readme")
    for pictures, suffix in (("my-pictures", "jpg"), ("other-pictures", "png")):
        (folder / pictures).mkdir()
        for name in PHOTOGRAPHS:
            photograph(name).save(folder / pictures / f"{name}.{suffix}")
    save_blotches(folder / "my-pictures", 16)  # enough to calibrate on
    for label, name in (("tabby", "chelsea"), ("espresso", "coffee")):
        (folder / "my-labeled-pictures" / label).mkdir(parents=True)
        photograph(name).save(folder / "my-labeled-pictures" / label / f"{name}.png")
    photograph("chelsea").save(folder / "cat.jpg")
    (folder / "my-labels.txt").write_text("cat\ndog\nbird\n")
    network(classes=3).save(folder / "my-model.keras")
    return folder


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(command, marks=pytest.mark.slow if command.startswith(LONG) or "today.json" in command else ())
        for command in COMMANDS
    ],
)
def test_commands_of_the_readme(home: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    loadable = functools.partial(Installation, why_not_loadable=lambda _: None)  # without loading every engine
    monkeypatch.setattr("edge_squeeze.doctor.examination.Installation", loadable)
    program, *arguments = shlex.split(command)
    assert program == "edge-squeeze"
    _prepare(home, command)
    run = commands.run if arguments[0] == "benchmark" else commands.run_here
    done = run(home, *arguments, COLUMNS="120")
    unclear = arguments[0] == "compare" and done.returncode == INCONCLUSIVE  # measured too little to say more
    assert done.returncode == 0 or unclear, done.stderr + done.stdout
    lines = done.stdout.splitlines()
    tables = [line for line in lines if len(re.findall(r"\S  +\S", line)) > 1]
    assert max(map(len, tables), default=0) <= 80
    assert [line for line in lines if len(line) > 100 and len(line.split()) > 1 and not line.startswith("  ")] == []
    if arguments[:1] != ["compare"]:  # of which it shows no table
        heads = [line.split() for line in lines if line.split("  ")[0] in TITLES]
        # Short names leave room for more columns, and noise makes a benchmark's so wide that the last are left out.
        known = [head for head in heads if any(_shows(head, shown, arguments[0]) for shown in HEADS)]
        assert known == heads, "the README shows other columns"


def _prepare(home: Path, command: str) -> None:
    """Makes what a command takes and no command before it has made in this process: each runs alone, too."""
    for path in shlex.split(command)[1:]:
        prepares = next((made for start, made in PREPARES.items() if path.startswith(start)), command)
        if prepares != command and not (home / path).exists():
            _prepare(home, prepares)
            done = commands.run(home, *shlex.split(prepares)[1:])
            assert done.returncode == 0, done.stderr


def _shows(head: list[str], shown: list[str], command: str) -> bool:
    return head[:3] == shown[:3] if command == "benchmark" else set(shown) <= set(head)


def test_the_demo_ends_with_one_list_of_commands_that_work_from_the_checkout() -> None:
    recipe = re.search(r"(?m)^demo: \$\(READY\)\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text())
    assert recipe
    assert f"\ndemo: export {NO_NEXT} := 1\n" in (ROOT / "Makefile").read_text()
    lines = recipe[1].splitlines()
    title = next(at for at, line in enumerate(lines) if "Next" in line)
    listed = [re.fullmatch(r"\t@echo '  \$\(BIN\)/edge-squeeze (.*)'", line) for line in lines[title + 1 :]]
    assert len(listed) == 3
    for command in listed:
        assert command
        name, *words = command[1].split()
        get_command(app).commands[name].make_context(name, words)  # type: ignore[attr-defined]
    assert all("$(BIN)/edge-squeeze" in line for line in lines[:title] if not line.startswith("\t@"))


def test_what_the_readme_shows_fits_a_terminal() -> None:
    assert {head[0] for head in HEADS} == set(TITLES)
    assert [line for line in OUTPUT if len(line) > 80 and not line.lstrip().startswith(("edge-squeeze ", "pip "))] == []


def test_the_readme_is_short_and_every_command_has_an_example() -> None:
    assert len(README.splitlines()) <= MOST_LINES
    assert len(README.split()) <= MOST_WORDS
    assert {shlex.split(command)[1] for command in COMMANDS} >= set(get_command(app).commands) - {"train"}  # type: ignore[attr-defined]


@pytest.mark.parametrize("target", all_targets(), ids=lambda t: f"{t.format}-{t.precision}")
def test_every_target_is_in_the_tables(target: object) -> None:
    name, page = f"{target.format} {target.precision}", (ROOT / "docs" / "formats.md").read_text()  # type: ignore[attr-defined]
    for variant in PUBLISHED:
        assert f"| {variant.removeprefix('squeezenet')} {name} |" in page
    assert f"| {name} |" in page


def test_help_names_every_choice() -> None:
    text = commands.run_here(ROOT, "export", "--help").stdout
    assert not [name for name in (*FORMATS, *precisions(), *VARIANTS) if name not in text]


PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(path: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
        assert link.startswith("https://") or (path.parent / link).exists(), link
