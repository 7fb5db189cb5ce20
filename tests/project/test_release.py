"""What a release carries: one version everywhere, every file of the checkout in its source archive, a whole wheel."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from environments import INSTALL_TIMEOUT_S, must, run, uv
from places import ROOT

import edge_squeeze
from edge_squeeze.files import documentation

NOT_RELEASED = (".ci/", ".gitignore")
BUILD = (
    "import sys, setuptools.build_meta as b; out = sys.argv[1]; print(b.build_sdist(out)); print(b.build_wheel(out))"
)


def tracked() -> list[str]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout, so nothing says which files are its own")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.split("\0") if name and (ROOT / name).exists()]


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The source archive and the wheel, built of the tracked files alone and of what a user may leave beside them."""
    folder = tmp_path_factory.mktemp("release")
    for name in tracked():
        (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / "source" / name)
    for name in ("android_demo/build/debug.keystore", "android_demo/app/src/main/assets/models/index.json"):
        (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "source" / name).write_text("the user's")
    tool, backend = uv(), folder / "backend"
    installing = (
        [tool, "pip", "install", "--python", sys.executable] if tool else [sys.executable, "-m", "pip", "install"]
    )
    must(run(*installing, "--target", backend, "setuptools>=77", timeout_s=INSTALL_TIMEOUT_S))
    done = subprocess.run(
        [sys.executable, "-c", BUILD, folder],
        cwd=folder / "source",
        env={**os.environ, "PYTHONPATH": str(backend)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    source, wheel = (folder / name for name in done.stdout.splitlines() if name.endswith((".tar.gz", ".whl")))
    return source, wheel


def test_the_source_archive_holds_what_is_tracked_and_nothing_else(archives: tuple[Path, Path]) -> None:
    with tarfile.open(archives[0]) as archive:
        held = {name.partition("/")[2] for name in (member.name for member in archive.getmembers() if member.isfile())}
    wanted = {name for name in tracked() if not name.startswith(NOT_RELEASED)}
    assert wanted - held == set()
    made = {name for name in held - wanted if not name.startswith("edge_squeeze.egg-info/")}
    assert made == {"PKG-INFO", "setup.cfg"}


def test_the_wheel_holds_the_packages_their_data_and_the_pages(archives: tuple[Path, Path]) -> None:
    def installed(name: str) -> str | None:
        folder = name.partition("/")[0]
        if folder in ("converters", "benchmarks", "docs"):
            return f"edge_squeeze/{name}"
        return name if folder == "edge_squeeze" else None

    with zipfile.ZipFile(archives[1]) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert held == {there for name in tracked() if (there := installed(name))}


def test_an_installed_wheel_points_at_pages_that_it_has(archives: tuple[Path, Path], tmp_path: Path) -> None:
    with zipfile.ZipFile(archives[1]) as archive:
        archive.extractall(tmp_path / "site")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "edge_squeeze", "--help"],
        cwd=tmp_path,
        check=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site"), "COLUMNS": "40"},
        capture_output=True,
        text=True,
    )
    (page,) = re.findall(r"^\s*(\S+/commands\.md)$", done.stdout, re.MULTILINE)
    assert Path(page) == tmp_path / "site" / "edge_squeeze" / "docs" / "commands.md"
    assert Path(page).is_file()


def test_every_page_that_a_message_names_is_there_and_none_is_named_by_hand() -> None:
    named = set()
    for path in [
        file for folder in ("edge_squeeze", "converters", "benchmarks") for file in (ROOT / folder).rglob("*.py")
    ]:
        tree = ast.parse(path.read_text())
        first = [node.body[0] for node in ast.walk(tree) if hasattr(node, "body") and isinstance(node.body, list)]
        docstrings = {id(node.value) for node in first if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
                assert not re.search(r"docs/\w+", node.value), f"{path}: an installed package has no {node.value!r}"
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("page"):
                named.add(ast.literal_eval(node.args[0]))
    assert len(named) >= 4
    assert not [name for name in named if not Path(documentation.page(name)).is_file()]


def test_one_version_everywhere() -> None:
    version, date = re.findall(r"(?m)^## \[([\d.]+)\] - (\d{4}-\d\d-\d\d)$", (ROOT / "CHANGELOG.md").read_text())[0]
    assert version == edge_squeeze.__version__
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {version}\n" in citation
    assert f'\ndate-released: "{date}"\n' in citation
    assert f'versionName = "{version}"' in (ROOT / "android_demo" / "app" / "build.gradle.kts").read_text()
    wheels = [
        name
        for page in documentation.folder().glob("*.md")
        for name in re.findall(r"edge_squeeze-([\d.]+)-py3", page.read_text())
    ]
    assert wheels
    assert set(wheels) == {version}


def test_the_citation_has_what_its_format_requires() -> None:
    text = (ROOT / "CITATION.cff").read_text()
    top = re.findall(r"(?m)^([a-z-]+):", text)
    assert len(top) == len(set(top))
    assert {"cff-version", "message", "title", "authors"} <= set(top)
    assert "cff-version: 1.2.0\n" in text
    assert "\t" not in text
    references = text.partition("\nreferences:\n")[2].split("\n  - ")
    assert len(references) == 2
    for reference, number in zip(references, ("1602.07360", "1510.00149"), strict=True):
        assert {"type", "title", "authors"} <= set(re.findall(r"(?m)^(?:  - |    )?([a-z]+):", reference))
        assert f"https://arxiv.org/abs/{number}\n" in reference
