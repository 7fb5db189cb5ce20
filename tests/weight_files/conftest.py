"""A quicker start for the guarded process, where a test reads hundreds of damaged files."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_squeeze.weight_files import reader

# It has imported everything, and forks for each file. What it forks runs the very program that `reader` starts.
FORKING = """
import os, signal, sys
from edge_squeeze.weight_files import contents, keras_hdf5

for line in sys.stdin:
    folder, seconds, name = line.rstrip("\\n").split("\\t")
    if (child := os.fork()) == 0:
        for descriptor, (file, flags) in enumerate([("in", os.O_RDONLY), *[(f, os.O_WRONLY) for f in ("out", "err")]]):
            os.dup2(os.open(f"{folder}/{file}", flags | os.O_TRUNC * (descriptor > 0)), descriptor)
        signal.alarm(int(seconds))
        sys.argv[1:] = [name]
        contents.main()
        sys.stdout.flush()
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture
def forked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let `reader` have its program forked instead of started anew."""
    files = [tmp_path / name for name in ("in", "out", "err")]
    for file in files:
        file.touch()

    def run(command: list[str], input: bytes, timeout: int, **_: object) -> subprocess.CompletedProcess[bytes]:  # noqa: A002
        files[0].write_bytes(input)
        process.stdin.write(f"{tmp_path}\t{timeout}\t{command[-1]}\n")
        process.stdin.flush()
        code = int(process.stdout.readline())
        output, errors = (file.read_bytes() for file in files[1:])
        if code == -14:
            raise subprocess.TimeoutExpired(command, timeout)
        if code:
            raise subprocess.CalledProcessError(code, command, output, errors)
        return subprocess.CompletedProcess(command, code, output, errors)

    program = [sys.executable, "-P", "-c", FORKING]
    environment = {**os.environ, **reader.ENVIRONMENT}
    with subprocess.Popen(program, stdin=-1, stdout=-1, text=True, env=environment) as process:
        assert process.stdin
        assert process.stdout
        monkeypatch.setattr(subprocess, "run", run)
        yield
        process.stdin.close()
