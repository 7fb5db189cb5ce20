"""Who computes the chunks of an evaluation: this process, or one process for each core of this machine."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from typing import IO, Any, Protocol

from edge_squeeze.errors import ConversionError, EdgeSqueezeError, ExitCode, FailedThereError, UsageError
from edge_squeeze.evaluation import chunks
from edge_squeeze.evaluation.chunks import Arm, Chunk, Rows
from edge_squeeze.process.supervision import ended_by

WORKER = "edge_squeeze.evaluation.worker"
READY, ERROR, CODE = "ready", "error", "exit_code"
LAST_LINES = 3
# A worker computes on one core: neither NumPy nor TensorFlow starts threads for others.
ONE_THREAD = dict.fromkeys(
    ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), "1"
)
Run = Callable[[Iterable[Chunk]], Iterator[Rows]]


class Executor(Protocol):
    """Computes chunks: `chunks.answer` for each of them, wherever that is."""

    @property
    def kind(self) -> str:
        """What it is, for the record."""
        ...

    @property
    def workers(self) -> int:
        """How many chunks it computes at the same time."""
        ...

    def ready(self, arms: Sequence[Arm]) -> AbstractContextManager[Run]:
        """A function that gives the rows of chunks as they are finished, in any order, with `arms` loaded already."""
        ...


@dataclass(frozen=True)
class Local:
    """The cores of this machine: a process for each of several `workers`, or this process alone."""

    workers: int
    kind: str = "local"

    @contextlib.contextmanager
    def ready(self, arms: Sequence[Arm]) -> Iterator[Run]:
        """As the protocol says."""
        if self.workers == 1:
            for arm in arms:
                chunks.open_arm(arm)
            yield lambda pieces: (chunks.answer(chunk, arms) for chunk in pieces)
            return
        workers = [Process() for _ in range(self.workers)]
        try:
            for worker in workers:
                worker.send({"parent": os.getpid(), "arms": [asdict(arm) for arm in arms]})
            for worker in workers:
                worker.receive()
            yield lambda pieces: _Shared(workers, pieces).rows()
        finally:
            for worker in workers:
                worker.end()


@dataclass
class Process:
    """A process that computes one chunk after the other."""

    process: subprocess.Popen[bytes] = field(init=False)
    log: IO[bytes] = field(default_factory=tempfile.TemporaryFile)

    def __post_init__(self) -> None:
        self.process = subprocess.Popen(  # noqa: S603 - ourselves
            [sys.executable, "-P", "-m", WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            env={**os.environ, **ONE_THREAD},
        )

    def send(self, value: Any) -> None:
        """Hand it a line; what ended it is said by `receive`."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError, OSError):
            self.process.stdin.write(json.dumps(value).encode() + b"\n")
            self.process.stdin.flush()

    def receive(self) -> Any:
        """Its next line; the error that it met, or ConversionError if it crashed."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line.endswith(b"\n"):
            raise self._crash()
        answer = json.loads(line)
        if isinstance(answer, dict) and ERROR in answer:
            raise error_of(answer[ERROR], answer[CODE])
        return answer

    def ask(self, chunk: Chunk) -> Rows:
        """The rows of `chunk`, as `rows` gives them."""
        self.send(chunks.as_json(chunk))
        return self.rows(chunk)

    def rows(self, chunk: Chunk) -> Rows:
        """The rows of the first `chunk` that was sent and has no rows yet.

        ConversionError names its pictures if the process crashed on one of them.
        """
        try:
            return Rows.decode(self.receive())
        except ConversionError as error:
            first, last = chunk.pictures[0].name, chunk.pictures[-1].name
            raise ConversionError(f"{error} It was at the pictures {first} to {last}.", error.log) from error

    def _crash(self) -> ConversionError:
        code = self.process.wait()
        self.log.seek(0)
        log = self.log.read().decode("utf-8", "replace")
        if signal := ended_by(code):
            what = f"An engine crashed ({signal}): a file may be damaged, or the memory too small."
            return ConversionError(what, log)
        last = " ".join(log.strip().splitlines()[-LAST_LINES:])
        return ConversionError(f"A process of the evaluation failed: {last}", log)

    def end(self) -> None:
        """End the process, whatever it is doing."""
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.log):
            with contextlib.suppress(OSError):
                stream.close()  # type: ignore[union-attr]


def error_of(text: str, code: int) -> EdgeSqueezeError:
    """The error `text` of another process, whose exit code was `code`."""
    kinds: dict[int, type[EdgeSqueezeError]] = {
        ExitCode.USAGE: UsageError,
        ExitCode.FAILED_CONVERSION: ConversionError,
    }
    return kinds[code](text) if code in kinds else FailedThereError(text, code)


class _Shared:
    """Chunks shared among processes; each has the next chunk already when it finishes one."""

    def __init__(self, workers: Sequence[Process], pieces: Iterable[Chunk]) -> None:
        self._workers, self._waiting, self._lock = workers, iter(pieces), threading.Lock()
        self._results: queue.SimpleQueue[Rows | BaseException | None] = queue.SimpleQueue()

    def rows(self) -> Iterator[Rows]:
        """The rows of the chunks as they come."""
        firsts = [self._take(worker) for worker in self._workers]  # one for each, before anyone gets a second
        for worker, first in zip(self._workers, firsts, strict=True):
            threading.Thread(target=self._serve, args=(worker, first), daemon=True).start()
        busy = len(self._workers)
        while busy:
            result = self._results.get()
            if isinstance(result, BaseException):
                raise result
            if result is None:
                busy -= 1
            else:
                yield result

    def _take(self, worker: Process) -> Chunk | None:
        with self._lock:
            chunk = next(self._waiting, None)
        if chunk is not None:
            worker.send(chunks.as_json(chunk))
        return chunk

    def _serve(self, worker: Process, chunk: Chunk | None) -> None:
        try:
            while chunk is not None:
                following = self._take(worker)
                self._results.put(worker.rows(chunk))
                chunk = following
        except BaseException as error:  # raised where the rows are awaited
            self._results.put(error)
        else:
            self._results.put(None)
