"""Exports the product's files, gives them to every client, and writes the table into docs/formats.md.

Usage: make clients, or make clients ARGS="--only OpenCV". Clients are installed once, from package registries, into
environments of their own under the cache folder; one that cannot be installed gets no row but a reason. Exit code 1 if
a client no longer reads what the table says it read right; the table then stays as it is.
"""

from __future__ import annotations

import argparse
import datetime as dt
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path[:0] = [str(HERE), str(HERE.parent / "helpers")]

import client_table  # noqa: E402 - from the folder that was just named
from client_files import COLUMNS, MODELS, File, export_all  # noqa: E402
from client_list import CLIENTS, NPM, Client  # noqa: E402
from client_table import LIMITS, Outcome  # noqa: E402

from edge_squeeze.files.cache import cache_folder  # noqa: E402

DOCUMENT = ROOT / "docs" / "formats.md"
BEGIN, END = "<!-- clients: written by make clients -->\n", "<!-- end of clients -->\n"
INSTALL_S, ANSWER_S = 1800, 300
LONGEST_REASON = 110
Rows = dict[Client, dict[str, list[Outcome]]]


class NotInstalledError(Exception):
    """A client that cannot be installed here, and why."""


def say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def call(words: Sequence[object], timeout_s: int, **options: Any) -> subprocess.CompletedProcess[str]:
    own = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return subprocess.run(
        [str(word) for word in words],
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_s,
        env={**own, "CUDA_VISIBLE_DEVICES": "", "PYTHONDONTWRITEBYTECODE": "1"},
        **options,
    )


def install(words: Sequence[object], folder: Path) -> None:
    """Run one step of an installation in `folder`; NotInstalledError with the last thing it said."""
    try:
        done = call(words, INSTALL_S, cwd=folder)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstalledError(str(error)) from error
    if done.returncode:
        lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise NotInstalledError(lines[-1].strip() if lines else f"{words[0]} ended with {done.returncode}")


def environment(packages: Sequence[str], folder: Path, *, dependencies: bool) -> Path:
    """The Python of an environment of Python 3.11 with these packages."""
    place = folder / hashlib.sha256(" ".join(packages).encode()).hexdigest()[:12]
    if (place / "ready").exists():
        return place / "bin" / "python"
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if uv is None:
        raise NotInstalledError("uv is required")
    shutil.rmtree(place, ignore_errors=True)
    install([uv, "venv", "-q", "--python", "3.11", place], folder)
    alone = [] if dependencies else ["--no-deps"]
    install([uv, "pip", "install", "-q", *alone, "--python", place / "bin" / "python", *packages], folder)
    (place / "ready").touch()
    return place / "bin" / "python"


def modules(folder: Path) -> tuple[str, Path, str]:
    """Node.js, the folder of its modules, and Chromium."""
    programs = {name: shutil.which(name) for name in ("node", "npm", "chromium")}
    for name, path in programs.items():
        if path is None:
            raise NotInstalledError(f"{name} is not on PATH (Debian: apt-get install {name.replace('node', 'nodejs')})")
    place = folder / f"web-{hashlib.sha256(' '.join(NPM).encode()).hexdigest()[:12]}"
    if not (place / "ready").exists():
        place.mkdir(exist_ok=True)
        (place / "package.json").write_text('{"private": true}')
        install([programs["npm"], "install", "--no-audit", "--no-fund", "--ignore-scripts", *NPM], place)
        (place / "ready").touch()
    return str(programs["node"]), place / "node_modules", str(programs["chromium"])


def answers(client: Client, files: Sequence[File], cache: Path) -> Iterator[dict[str, Any]]:
    """What the client answers of each file: scores and names, or an error."""
    with tempfile.TemporaryDirectory() as temporary:
        folders = [Path(temporary, str(i)) for i in range(len(files))]
        for folder in folders:
            folder.mkdir()
        described = [file.describe(folder) for file, folder in zip(files, folders, strict=True)]
        if client.packages:
            python = environment(client.packages, cache, dependencies=client.dependencies)
            for folder in folders:
                yield answer([python, HERE / "client_feed.py", client.feed, folder / "file.json"], folder)[0]
            return
        node, installed, chromium = modules(cache)
        job = Path(temporary, "job.json")
        job.write_text(json.dumps({"client": client.feed, "files": described}))
        lines = answer([node, HERE / "browser.mjs", installed, chromium, job], job.parent)
        yield from [*lines, *[lines[-1]] * (len(files) - len(lines))]


def answer(words: Sequence[object], folder: Path) -> list[dict[str, Any]]:
    """The lines of JSON that a feeder prints, or how it ended without any."""
    try:
        done = call(words, ANSWER_S, cwd=folder)
    except subprocess.TimeoutExpired:
        return [{"error": f"signal: no answer in {ANSWER_S} s"}]
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    end = done.stderr.strip().splitlines()[-1:] or [""]
    return lines or [{"error": f"signal {-done.returncode}: {end[0]}"}]


def judge(client: Client, file: File, reply: dict[str, Any]) -> Outcome:
    """What the client made of the file, by its answer."""
    if "error" in reply:
        return Outcome(file.model, file.precision, error=reply["error"])
    scores, expected = np.asarray(reply["scores"]), file.expected(file.pixels())
    if scores.shape != expected.shape:
        return Outcome(file.model, file.precision, error=f"{scores.size} scores instead of {expected.size}")
    names = reply.get("names") == file.labels if client.names else None
    return Outcome(file.model, file.precision, float(np.abs(scores - expected).max()), names)


def control(files: Sequence[File]) -> None:
    """Raise SystemExit unless a client that mixes the colors up would be seen."""
    for file in files:
        pixels = file.pixels()
        off = np.abs(file.expected(pixels) - file.expected(pixels[..., ::-1])).max()
        if off <= LIMITS[file.precision]:
            raise SystemExit(f"{file.model} {file.kind} {file.column}: swapped colors change scores by {off:.1e} only")


def try_all(clients: Sequence[Client], files: Sequence[File], cache: Path) -> tuple[Rows, dict[str, str]]:
    """Each client's outcomes by column, and why others have none."""
    rows: Rows = {}
    missing: dict[str, str] = {}
    for client in clients:
        say(f"{client.title} ({client.kind})")
        own = [file for file in files if file.kind == client.kind]
        try:
            outcomes = [judge(client, *pair) for pair in zip(own, answers(client, own, cache), strict=True)]
        except NotInstalledError as error:
            missing[client.title] = str(error)
            say(f"  not installed: {error}")
            continue
        rows[client] = {column: [] for column in COLUMNS[client.kind]}
        for file, outcome in zip(own, outcomes, strict=True):
            rows[client][file.column].append(outcome)
            say(f"  {file.model} {file.column}: {outcome.difference:.1e} {outcome.text} {outcome.error[:200]}")
    return rows, missing


def document(rows: Rows, missing: dict[str, str]) -> str:
    """The Markdown that stands between the two markers."""
    machine = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    parts = [f"Written by `make clients` on {dt.datetime.now(dt.UTC):%Y-%m-%d} ({machine})."]
    for kind, columns in COLUMNS.items():
        table = {
            client.title: [client_table.cell(by_column[column]) for column in columns]
            for client, by_column in rows.items()
            if client.kind == kind
        }
        parts += [f"`.{kind}` files:", client_table.markdown(columns, table)]
    reasons = [f"- {name}: not installed ({reason[:LONGEST_REASON]})" for name, reason in missing.items()]
    parts += ["\n".join([*reasons, *refusals(rows)])]
    return "\n\n".join(part for part in parts if part) + "\n"


def refusals(rows: Rows) -> list[str]:
    """A line for each client and reason."""
    said: dict[tuple[str, str], list[str]] = {}
    for client, by_column in rows.items():
        for column, outcomes in by_column.items():
            for outcome in (outcome for outcome in outcomes if outcome.error):
                reason = outcome.error.replace("|", "/")[:LONGEST_REASON]
                columns = said.setdefault((f"{client.title}, .{client.kind}", reason), [])
                if column not in columns:
                    columns.append(column)
    return [f"- {name} {', '.join(columns)}: `{reason.replace('`', '')}`" for (name, reason), columns in said.items()]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="Try only clients whose name contains this; implies --dry")
    parser.add_argument("--dry", action="store_true", help="Print the table and leave docs/formats.md as it is")
    parser.add_argument(
        "--files", type=Path, help="Keep the exported files in this folder, and use those that are there"
    )
    options = parser.parse_args()
    cache = cache_folder() / "clients"
    cache.mkdir(parents=True, exist_ok=True)
    clients = [client for client in CLIENTS if options.only.lower() in client.name.lower()]
    test_data = Path(os.environ.get("EDGE_SQUEEZE_TEST_DATA", ROOT.parent / "shared"))
    with tempfile.TemporaryDirectory() as temporary:
        out = options.files or Path(temporary)
        out.mkdir(parents=True, exist_ok=True)
        files = export_all(out.resolve(), test_data, say)
        control(files)
        rows, missing = try_all(clients, files, cache)
    head, _, rest = DOCUMENT.read_text().partition(BEGIN)
    recorded, _, tail = rest.partition(END)
    text = document(rows, missing)
    sys.stdout.write(text)
    if problems := client_table.lost(recorded, text, MODELS):
        say("Clients that read less than before:\n  " + "\n  ".join(problems))
        return 1
    if not (options.dry or options.only):
        DOCUMENT.write_text(f"{head}{BEGIN}{text}{END}{tail}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
