"""benchmark and verify on boards, by an ssh that runs everything here."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from boards import fake_ssh, left, own_environment, path_with, processes, wait_until
from commands import run_here

import edge_squeeze
from edge_squeeze.devices import wheel

RUN = 'echo "Welcome to the board"; exec sh -c "$command"'
BENCHMARK = ("--profile", "quick", "--launches", "3", "--threads", "1")
TWICE = ("--profile", "quick", "--launches", "2", "--threads", "1")
SHORTEST = ("--profile", "quick", "--launches", "1", "--threads", "1")
Desk = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two small artifacts, in folders whose names a shell would take apart."""
    out = tmp_path_factory.mktemp("artifacts") / "it's $HOME"
    edge_squeeze.export(weights="random", classes=10, input_size=48, format="tflite,onnx", out=out)
    for produced, name in zip(sorted(out.iterdir()), ("o", "t"), strict=True):  # onnx, tflite
        produced.rename(out / name)
    return out


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """The board's cache, with an environment in it."""
    folder = tmp_path / "board-cache"
    own_environment(folder, "litert+onnx", wheel.pack().stem)
    return folder


@pytest.fixture
def environment(tmp_path: Path, cache: Path) -> dict[str, str]:
    folder = fake_ssh(tmp_path / "bin", f"echo $@ >>{tmp_path}/calls\nexport XDG_CACHE_HOME={cache}\n{RUN}")
    return {name: value for name, value in os.environ.items() if name != "EDGE_SQUEEZE_CACHE"} | {
        "PATH": path_with(folder),
        "XDG_CACHE_HOME": str(tmp_path / "desk-cache"),
    }


@pytest.fixture
def desk(artifacts: Path, environment: dict[str, str], cache: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.delenv("EDGE_SQUEEZE_CACHE", raising=False)

    def run(*arguments: object, here: bool = False) -> subprocess.CompletedProcess[str]:
        if arguments[0] == "verify" or here:  # which loads TensorFlow, or ends before it measures
            done = run_here(artifacts, *arguments, **environment)
        else:
            command = [sys.executable, "-m", "edge_squeeze", *map(str, arguments)]
            done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=artifacts, env=environment)
        assert "Traceback" not in done.stderr
        assert not left(cache)
        return done

    return run


def test_a_board_is_measured_like_this_machine(desk: Desk, tmp_path: Path) -> None:
    saved = tmp_path / "r.json"
    done = desk("benchmark", "t", "o", *TWICE, "--device", "ssh:pi@board:2222", "--out", saved)
    assert done.returncode == 0, done.stderr
    assert "-p 2222 -l pi -- board" in (tmp_path / "calls").read_text()
    assert "astest is squeezenet1.1-" in " ".join(done.stdout.split()[:5])
    _, table, *_ = done.stdout.split("\n\n")
    assert table.splitlines()[2:5:2] == [
        "squeezenet1.1-tflite-float32-random-classes-10-input-size-48",
        "squeezenet1.1-onnx-float32-random-classes-10-input-size-48",
    ]
    assert "2 arms, round 2/2" in done.stderr
    assert "Welcome" not in done.stdout + done.stderr
    document = json.loads(saved.read_text())
    assert document["argv"][:2] == ["benchmark", "t"]
    assert document["arms"][0]["model"]["path"] == "t/squeezenet1.1-float32-random-classes-10-input-size-48.tflite"
    replayed = desk("benchmark", "--replay", saved, here=True)
    assert replayed.stdout.splitlines()[0] == done.stdout.splitlines()[0]
    assert desk("compare", saved, saved, here=True).returncode in (0, 9)


@pytest.mark.slow
@pytest.mark.parametrize(("launches", "interval"), [(1, "-"), (3, "[\\d.]+-[\\d.]+")])
def test_devices_have_tables_of_their_own_where_one_is_too_wide_and_one_that_fails_does_not_stop_the_others(
    desk: Desk, artifacts: Path, tmp_path: Path, launches: int, interval: str
) -> None:
    """Also: files of one name keep the paths that they have here."""
    fake_ssh(
        tmp_path / "bin",
        f"""
        case "$*" in *" gone "*) echo "ssh: connect to host gone port 22: Connection refused" >&2; exit 255;; esac
        export XDG_CACHE_HOME={tmp_path}/board-cache
        exec sh -c "$command"
    """,
    )
    model = next((artifacts / "t").glob("*.tflite")).read_bytes()
    for folder in (artifacts / "one", tmp_path / "two"):
        folder.mkdir(exist_ok=True)
        (folder / "x.tflite").write_bytes(model)
    paths = ["one/x.tflite", str(tmp_path / "two" / "x.tflite")]
    devices = [word for name in ("ssh:pi4", "local", "ssh:gone") for word in ("--device", name)]
    short = (*SHORTEST, "--launches", launches)
    done = desk("benchmark", *paths, *short, *devices, "--out", tmp_path / "r.json")
    assert done.returncode == 6, done.stderr
    blocks = re.split(r"(?m)^(?=ssh:pi4: |local: |ssh:gone: )", done.stdout)
    assert [block.partition(": ")[0] for block in blocks] == ["", "ssh:pi4", "local", "ssh:gone"]
    for block in blocks[1:3]:
        table = block[block.index("\n\narm\n") :].splitlines()[2:]
        assert table[2:5:2] == paths
        for figures in table[3:6:2]:
            assert re.match(rf" +(\w+ +)?1 +[\d.]+ +{interval} ", figures)
    assert "ssh:gone: it is reachable, but no ssh server is listening" in done.stdout
    assert done.stdout.endswith(f"\nSaved: {tmp_path}/r-pi4.json\nSaved: {tmp_path}/r-local.json\n")
    assert max(len(line) for line in done.stdout.splitlines() if not line.startswith("Saved: ")) <= 100
    assert {path.name for path in tmp_path.glob("r*.json")} == {"r-pi4.json", "r-local.json"}
    for name in ("pi4", "local"):
        arms = json.loads((tmp_path / f"r-{name}.json").read_text())["arms"]
        assert [arm["model"]["path"] for arm in arms] == paths
    compared = desk("compare", tmp_path / "r-pi4.json", tmp_path / "r-local.json", here=True)
    assert compared.returncode in (0, 8, 9)
    assert f"ssh:pi4: 2 arms, round 1/{launches}" in done.stderr


@pytest.mark.slow
def test_the_document_of_several_devices_keeps_that_of_each(desk: Desk, tmp_path: Path, pictures: Path) -> None:
    """Also: pictures go along."""
    devices = ("--device", "local", "--device", "ssh:pi4")
    done = desk("benchmark", "t", *SHORTEST, "--inputs", pictures, *devices, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["schema"] == "edge_squeeze.devices/1"
    assert [device["device"] for device in document["devices"]] == ["local", "ssh:pi4"]
    assert {device["result"]["schema"] for device in document["devices"]} == {"edge_squeeze.bench/1"}
    assert [device["result"]["arms"][0]["input"]["count"] for device in document["devices"]] == [3, 3]
    (tmp_path / "several.json").write_text(done.stdout)
    replayed = desk("benchmark", "--replay", tmp_path / "several.json", here=True)
    assert replayed.returncode == 2
    assert "holds the results of several devices" in replayed.stderr


def test_an_artifact_is_verified_on_a_board(desk: Desk, artifacts: Path) -> None:
    done = desk("verify", "t", "--device", "ssh:board")
    assert done.returncode == 0, done.stderr
    assert "Golden files: PASS, with litert" in done.stdout
    scores = next((artifacts / "o" / "golden").glob("scores*"))
    before = scores.read_bytes()
    scores.write_bytes(bytes(len(before)))
    try:
        broken = desk("verify", "o", "--device", "ssh:board", "--json")
    finally:
        scores.write_bytes(before)
    assert broken.returncode == 3, broken.stderr
    assert json.loads(broken.stdout)["golden"]["passed"] is False


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("benchmark", "nowhere", "--device", "ssh:b"), 2, "Error: No such file: nowhere"),
        (("benchmark", "--device", "ssh:b"), 2, "Error: Nothing to measure"),
        (("benchmark", "t", "--profile", "slow", "--device", "ssh:b"), 2, "Error: Unknown profile"),
        (("benchmark", "t", "--device", "ssh:-x"), 2, "is not a device"),
        (("benchmark", "t", "--device", "ssh:b", "--device", "ssh:b"), 2, "given twice"),
        (("benchmark", "t", "--setup"), 2, "--setup creates an environment on a board. Pass --device"),
        (("verify", "t", "--device", "local", "--setup"), 2, "Pass --device ssh:"),
        (("benchmark", "t", "--out", "r.txt", "--device", "ssh:b"), 2, "--out must end in"),
        (("benchmark", "--replay", "r.json", "--device", "ssh:b"), 2, "Leave --device ssh:b out"),
        (("verify", "t", "--device", "ssh:b", "--custom-objects", "x.py"), 2, "is not sent to other machines"),
        (("verify", "t", "--device", "ssh:b", "--against", "o"), 2, "does not run on boards"),
        (("verify", "t", "--device", "ssh:b", "--device", "local"), 2, "at most 1 --device"),
        (("verify", "t", "--device", ""), 2, "is not a device"),
        (("benchmark", "t", "--runtime", "lightrt", "--device", "ssh:b"), 2, "Error: Unknown runtime"),
        (("benchmark", "t", "--runtime", "openvino", "--setup", "--device", "ssh:b"), 2, "cannot bring openvino"),
        (("benchmark", "t", "--fail-on-regression", "--device", "ssh:b"), 2, "Required: at least two"),
        (("benchmark", "t", "--cores", "77", "--device", "ssh:b"), 2, "Error: ssh:b: "),
        (("benchmark", "t", "--runtime", "ncnn", "--device", "ssh:b"), 2, "Error: ssh:b: --runtime ncnn runs"),
        (("benchmark", "t", "--cores", "77", "--device", "ssh:b", "--device", "ssh:c"), 2, "ssh:c: "),
    ],
)
def test_a_mistake_ends_as_it_does_here(desk: Desk, arguments: tuple[str, ...], code: int, message: str) -> None:
    done = desk(*arguments, here=True)
    assert message in done.stderr + done.stdout
    assert done.returncode == code, done.stderr


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ('echo "pi@b: Permission denied (publickey)." >&2; exit 255', "ssh-copy-id"),
        ("exit 127", "ssh could not run a command there"),
        ('PATH=/nowhere; exec /bin/sh -c "$command"', "no Python 3.11 or newer. Required: python3"),
        ("echo 'This account is not available.'; exit 1", "This account is not available."),
        ('export XDG_CACHE_HOME=/proc; exec sh -c "$command"', "Create it once with --setup. Run: "),
        (
            'export XDG_CACHE_HOME=%s; dd bs=1 count=30000 status=none | sh -c "$command"; exit 255',
            "connection was lost",
        ),
    ],
)
def test_a_board_that_cannot_be_used_is_told(
    desk: Desk, tmp_path: Path, cache: Path, script: str, message: str
) -> None:
    fake_ssh(tmp_path / "bin", script.replace("%s", str(cache)))
    done = desk("benchmark", "t", *BENCHMARK, "--device", "ssh:b", here=True)
    assert done.returncode == 6, done.stderr
    assert message in done.stderr
    assert done.stderr.startswith("Error: ssh:b")


def test_without_ssh_it_says_so(desk: Desk, environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    environment["PATH"] = str(tmp_path / "empty")
    done = desk("benchmark", "t", "--device", "ssh:b")
    assert done.returncode == 6
    assert "openssh-client" in done.stderr


# What SIGINT says is shown quick by a benchmark on this machine.
@pytest.mark.parametrize("end", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGKILL])
def test_an_ended_command_ends_there_too_and_is_gone_on_with(
    artifacts: Path, environment: dict[str, str], cache: Path, end: signal.Signals
) -> None:
    command = [sys.executable, "-m", "edge_squeeze", "benchmark", "t", *BENCHMARK, "--device", "ssh:b", "--json"]
    process = subprocess.Popen(
        command,
        cwd=artifacts,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - a shell may have it ignored
    )
    wait_until(lambda: any(path.read_text().count("\n") for path in cache.rglob("*.jsonl")))
    process.send_signal(end)
    _, stderr = process.communicate()
    wait_until(lambda: not processes(f"XDG_CACHE_HOME={cache}") and not left(cache))
    if end == signal.SIGINT:
        assert process.returncode == 130
        assert "The same command resumes from there." in stderr
    done = subprocess.run(command, cwd=artifacts, env=environment, capture_output=True, text=True, check=True)
    assert re.search(r"Resuming with \d launch", done.stderr)
    assert json.loads(done.stdout)["arms"][0]["summary"]["n_launches"] == 3
