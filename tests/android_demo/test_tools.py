"""What can be said of the Android demo's build files and tools without a JDK."""

from __future__ import annotations

import re
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from places import ROOT

DEMO = ROOT / "android_demo"
sys.path.insert(0, str(DEMO / "tools"))

from building import console, jvm_tests, prerequisites, workplace  # noqa: E402

PROGRAMS = ("mvn", "aapt", "zipalign", "apksigner", "dexdump")


def scripts(*patterns: str) -> str:
    return "\n".join(path.read_text() for pattern in patterns for path in sorted(DEMO.glob(pattern)))


def test_gradle_uses_only_names_that_the_catalogue_has() -> None:
    catalogue = tomllib.loads(scripts("gradle/libs.versions.toml"))
    entries = [*catalogue["libraries"], *(f"plugins.{name}" for name in catalogue["plugins"])]
    used = set(re.findall(r"\blibs\.([\w.]+)", scripts("*.gradle.kts", "app/*.gradle.kts")))
    assert used == {name.replace("-", ".") for name in entries}
    references = [entry["version"]["ref"] for table in ("libraries", "plugins") for entry in catalogue[table].values()]
    assert set(references) == set(catalogue["versions"])


@pytest.mark.parametrize("name", ["kotlin", "onnxruntime", "junit", "robolectric"])
def test_gradle_and_maven_want_the_same_version(name: str) -> None:
    assert prerequisites.version(name) == tomllib.loads(scripts("gradle/libs.versions.toml"))["versions"][name]


def test_litert_is_one_for_pages_of_16_kb() -> None:
    major, minor, _ = tomllib.loads(scripts("gradle/libs.versions.toml"))["versions"]["litert"].split(".")
    assert (int(major), int(minor)) >= (1, 4)


def test_the_documentation_names_the_versions_that_the_demo_has() -> None:
    catalogue = tomllib.loads(scripts("gradle/libs.versions.toml"))
    page = (DEMO.parent / "docs" / "android.md").read_text()
    for name in ("litert", "onnxruntime"):
        assert f'("{catalogue["libraries"][name]["module"]}:{catalogue["versions"][name]}")' in page


def test_no_build_file_names_a_host() -> None:
    tools = [f"tools/**/*.{suffix}" for suffix in ("py", "java", "c", "xml")]
    text = scripts("*.kts", "*.properties", "*/*.kts", "*/*.toml", *tools)
    hosts = set(re.findall(r"https?://([\w.-]+)", text))
    assert hosts <= {"maven.apache.org", "schemas.android.com"}  # names of XML languages


def program(path: Path, prints: str, code: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho '{prints}'\nexit {code}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def machine(folder: Path, javac: str | None, programs: tuple[str, ...]) -> dict[str, str]:
    """The environment of a machine with just these programs."""
    for name in programs:
        program(folder / "bin" / name, "")
    for name in prerequisites.JDK_PROGRAMS if javac else ():
        program(folder / "bin" / name, f"javac {javac}")
    (folder / "bin").mkdir(exist_ok=True)
    return {"PATH": str(folder / "bin")}


def tool(name: str, environment: dict[str, str], *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(DEMO / "tools" / f"{name}.py"), *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_everything_that_is_missing_is_named_at_once_with_the_command(tmp_path: Path) -> None:
    done = tool("apk", machine(tmp_path, None, ("aapt", "zipalign")))
    assert (done.returncode, done.stdout) == (5, "")
    assert "a JDK 17 or newer (no javac on PATH, and JAVA_HOME is not set), mvn, apksigner, dexdump." in done.stderr
    assert "apt-get install openjdk-17-jdk-headless maven apksigner dexdump\n" in done.stderr


@pytest.mark.parametrize(
    ("version", "accepted"), [("1.8.0_402", False), ("11.0.2", False), ("17", True), ("25.0.1", True)]
)
def test_a_jdk_is_accepted_if_it_is_new_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, accepted: bool
) -> None:
    machine(tmp_path, version, ())
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    if accepted:
        assert prerequisites.check(()) == tmp_path
    else:
        with pytest.raises(console.MissingError, match=f"{tmp_path} is {version.partition('.')[0]}"):
            prerequisites.check(())


def test_without_models_the_command_that_bundles_them_is_named(tmp_path: Path) -> None:
    done = tool("apk", machine(tmp_path, "17", PROGRAMS), "--models", tmp_path / "none")
    assert done.returncode == 2
    assert "  edge-squeeze bundle android out/squeezenet1.1-tflite-int8 android_demo\n" in done.stderr


def test_an_unknown_abi_is_refused() -> None:
    done = tool("apk", {"PATH": ""}, "--abis", "arm64-v8a,mips")
    assert done.returncode == 2
    assert "'mips'. Choices: arm64-v8a, x86_64, armeabi-v7a, x86." in done.stderr


def test_jars_are_fetched_again_when_one_is_gone_or_the_pom_asks_for_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def maven(folder: Path, names: list[str]) -> None:
        calls.append(names)
        for name in names:
            (folder / name).mkdir()
            (folder / name / "a.jar").write_bytes(b"jar")

    pom = tmp_path / "pom.xml"
    pom.write_text("<kotlin>1</kotlin>")
    monkeypatch.setattr(prerequisites, "POM", pom)
    monkeypatch.setattr(prerequisites, "_run_maven", maven)
    for change, fetched in (
        (lambda: None, ["sdk", "kotlin"]),
        (lambda: None, None),
        ((tmp_path / "kotlin" / "a.jar").unlink, ["kotlin"]),
        (lambda: (tmp_path / "sdk" / "a.jar").write_bytes(b"ja"), ["sdk"]),
        (lambda: pom.write_text("<kotlin>2</kotlin>"), ["sdk", "kotlin"]),
    ):
        calls.clear()
        change()
        prerequisites.fetch(tmp_path, ("sdk", "kotlin"))
        assert calls == ([fetched] if fetched else [])


def test_a_maven_that_has_no_r8_leads_to_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(tmp_path / "mvn", "no com.android.tools:r8:jar:9", code=1)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(console.ToolFailedError, match=r"exited with code 1:\n.*r8:jar:9\nSet ANDROID_MAVEN_REPOSITORY"):
        prerequisites.fetch(tmp_path / "jars", ("android",))


def test_kotlin_of_the_documentation_keeps_its_lines(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("A\n```kotlin\npackage a\nval x = 1\n```\n```kotlin\nx++\n```\n```kotlin\npackage b\n```\n")
    first, second = jvm_tests.kotlin_files(page, tmp_path / "out")
    assert first.read_text() == "\n\npackage a\nval x = 1\n"
    assert second.read_text() == "\n" * 9 + "package b\n"
    assert jvm_tests.kotlin_files(tmp_path / "none.md", tmp_path / "out") == []


def test_test_classes_are_found_and_chosen_by_either_name(tmp_path: Path) -> None:
    for name, package in (("ATest", "package x.y\n"), ("BTest", ""), ("Data", "package x\n")):
        (tmp_path / f"{name}.kt").write_text(f"// a file\n{package}class {name}")
    classes = jvm_tests.test_classes(tmp_path)
    assert classes == ["x.y.ATest", "BTest"]
    assert jvm_tests.chosen(classes, []) == classes
    assert jvm_tests.chosen(classes, ["ATest"]) == jvm_tests.chosen(classes, ["x.y.ATest"]) == ["x.y.ATest"]
    with pytest.raises(console.UnusableError, match=r"No such test class: CTest\. Choices: ATest, BTest"):
        jvm_tests.chosen(classes, ["ATest", "CTest"])
    with pytest.raises(console.UnusableError, match="No test classes"):
        jvm_tests.chosen([], [])


@pytest.mark.parametrize("error", console.FailureError.__subclasses__(), ids=lambda error: error.__name__)
def test_a_failure_is_printed_without_a_traceback(
    error: type[console.FailureError], capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        with console.Steps()("dig"):
            console.run("the spade", "sh", "-c", "echo broken; exit 9", error=error)

    assert console.exit_code(fail) == error.exit_code > 1
    out, err = capsys.readouterr()
    assert (out, err) == ("[1] dig  failed\n", "Step 1, dig: the spade exited with code 9:\nbroken\n")


SECOND_BUILD = """
import pathlib, sys
sys.path.insert(0, sys.argv[1])
from building import workplace
with workplace.empty(pathlib.Path(sys.argv[2]), "apk") as work:
    print("works")
    (work / "a").touch()
"""


def test_a_build_waits_for_another_in_the_same_folder(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SECOND_BUILD, str(DEMO / "tools"), str(tmp_path)]
    with workplace.empty(tmp_path, "apk") as work:
        second = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert second.stdout is not None
        assert second.stdout.readline().startswith("Another build is running in")
        with pytest.raises(subprocess.TimeoutExpired):
            second.wait(0.5)
        assert not list(work.iterdir())
    assert second.communicate() == ("works\n", None)
