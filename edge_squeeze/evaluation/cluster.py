"""An evaluation on a Dask cluster: artifacts travel there once, pictures only where their paths are not seen.

The desk decides what each worker needs and sends it, so that a worker may be lost, and another one come, at any time.
On a worker, processes like those of `Local` compute: an engine that crashes ends none of Dask's.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from edge_squeeze.artifact import folder as artifacts
from edge_squeeze.devices import cluster as clusters
from edge_squeeze.errors import DeviceError, EdgeSqueezeError, UsageError
from edge_squeeze.evaluation.chunks import Arm, Chunk, Picture, Row, Rows
from edge_squeeze.evaluation.executor import Process, Run, error_of
from edge_squeeze.files import atomic, cache
from edge_squeeze.pictures.loading import read_picture
from edge_squeeze.version import __version__

FOLDER = "cluster"  # of artifacts that other machines sent, in the cache
KEPT = 32  # of them, the latest
SAME_TIME_S = 2.0  # clocks of shared file systems are that coarse
MOST_CLOSED = 64  # evaluations that are remembered to be over
IDLE_S = 300.0  # after which a process is ended that nobody asked to end


@dataclass(frozen=True)
class Parcel:
    """Files that workers need, under a name that depends on their content alone."""

    digest: str
    files: dict[str, Path]  # by their place in the parcel

    def content(self) -> dict[str, bytes]:
        """What is sent."""
        return {name: path.read_bytes() for name, path in self.files.items()}


def _pack(path: Path) -> Parcel:
    """The file `path`, or all files of that folder."""
    files = [file for file in sorted(path.rglob("*")) if file.is_file()] if path.is_dir() else [path]
    names = {file.relative_to(path.parent).as_posix(): file for file in files}
    digest = hashlib.sha256()
    for name, file in names.items():
        digest.update(f"{name}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode("utf-8", "surrogateescape"))
    return Parcel(digest.hexdigest(), names)


@dataclass(frozen=True)
class SentArm:
    """An arm, and the parcels that its folder and its original's file are in."""

    arm: Arm
    folder: str
    source: str | None = None

    def there(self) -> Arm:
        """The arm as it is on this worker."""
        source = self.arm.source if self.source is None else str(_place(self.source) / Path(self.arm.source or "").name)
        return replace(self.arm, folder=str(_place(self.folder) / Path(self.arm.folder).name), source=source)


@dataclass(frozen=True)
class SentPicture:
    """A picture: its path and what the file is like, for workers that see it; its bytes for those that do not."""

    picture: Picture
    size: int
    modified_s: float
    data: bytes | None = None
    error: str | None = None  # why it could not be read here

    def is_seen(self) -> bool:
        """Whether the file at the path is this one, on this machine."""
        try:
            state = os.stat(self.picture.path)  # noqa: PTH116 - a path that is no Path
        except (OSError, ValueError):
            return False
        return state.st_size == self.size and abs(state.st_mtime - self.modified_s) <= SAME_TIME_S


@dataclass(frozen=True)
class Task:
    """A chunk and all that a worker needs for it."""

    evaluation: str  # names the processes that have loaded the arms
    number: int
    arms: tuple[SentArm, ...]
    pictures: tuple[SentPicture, ...]


@dataclass(frozen=True)
class Outcome:
    """The rows of a task; or what was missing; or the error that it met."""

    rows: Rows | None = None
    worker: str = ""  # that lacks parcels
    lacks: tuple[str, ...] = ()
    unseen: bool = False  # the pictures' paths
    error: str | None = None
    code: int = 0


@dataclass
class Dask:
    """The workers of a Dask cluster, whose scheduler is at `address`."""

    address: str
    workers: int = 0
    kind: str = "dask"
    _parcels: dict[str, Parcel] = field(default_factory=dict, repr=False)

    @contextlib.contextmanager
    def ready(self, arms: Sequence[Arm]) -> Iterator[Run]:
        """As the protocol says.

        Raises:
            UsageError: An arm runs code of the user's.
            DeviceError: The cluster cannot be reached, is lost, or has another version of this package.
            MissingDependencyError: Dask's `distributed` is not installed.
        """
        sent = tuple(map(self._send, arms))
        with clusters.connect(self.address) as cluster:
            threads = cluster.threads()
            self.workers = sum(threads.values())
            _check_versions(cluster.on(list(threads), version))
            digests = tuple(self._parcels)
            for worker, missing in cluster.on(list(threads), lacking, digests).items():
                self._deliver(cluster, worker, missing)
            evaluation = hashlib.sha256(json.dumps([os.getpid(), time.time_ns(), digests]).encode()).hexdigest()
            try:
                for outcome in cluster.on_each_thread(prepare, Task(evaluation, 0, sent, ())):
                    if outcome.error is not None:
                        raise error_of(outcome.error, outcome.code)
                yield lambda chunks: self._run(cluster, evaluation, sent, chunks)
            finally:
                with contextlib.suppress(Exception):  # whoever is lost has no processes left
                    cluster.on(list(cluster.threads()), close, evaluation)

    def _send(self, arm: Arm) -> SentArm:
        if arm.custom_objects is not None or arm.trust_file:
            option = "--trust-file" if arm.custom_objects is None else "--custom-objects"
            raise UsageError(f"{option} runs your code, which is not sent to other machines. Leave out --cluster.")
        source = arm.source
        if arm.is_original and source is None:
            record = artifacts.load(Path(arm.folder)).manifest.weights
            source = record.path
        folder = self._parcel(Path(arm.folder))
        return SentArm(replace(arm, source=source), folder, None if source is None else self._parcel(Path(source)))

    def _parcel(self, path: Path) -> str:
        parcel = _pack(path.absolute())
        self._parcels[parcel.digest] = parcel
        return parcel.digest

    def _deliver(self, cluster: clusters.Cluster, worker: str, digests: Sequence[str]) -> None:
        """Send `worker` those parcels of `digests` that it still lacks: another on its machine may have got them."""
        for digest in cluster.on([worker], lacking, tuple(digests)).get(worker, ()) if digests else ():
            cluster.on([worker], store, digest, self._parcels[digest].content())

    def _run(
        self, cluster: clusters.Cluster, evaluation: str, arms: tuple[SentArm, ...], chunks: Iterable[Chunk]
    ) -> Iterator[Rows]:
        """The rows of `chunks` as they come."""
        by_bytes = False

        def tasks() -> Iterator[Task]:
            for chunk in chunks:
                pictures = tuple(_sent(picture, by_bytes=by_bytes) for picture in chunk.pictures)
                yield Task(evaluation, chunk.number, arms, pictures)

        def again(task: Task, outcome: Outcome) -> Task | None:
            nonlocal by_bytes
            if outcome.lacks:
                self._deliver(cluster, outcome.worker, outcome.lacks)
                return task
            if outcome.unseen:
                by_bytes = True
                return replace(task, pictures=tuple(_sent(each.picture, by_bytes=True) for each in task.pictures))
            if outcome.error is not None:
                raise error_of(outcome.error, outcome.code)
            return None

        for outcome in cluster.spread(work, tasks(), again):
            assert outcome.rows is not None
            yield outcome.rows


def _check_versions(versions: dict[str, str]) -> None:
    for worker, other in versions.items():
        if other != __version__:
            raise DeviceError(
                f"{worker} has edge-squeeze {other}, and this is {__version__}: their results may differ. Install the "
                "same version everywhere."
            )


def _sent(picture: Picture, *, by_bytes: bool) -> SentPicture:
    """`picture` for workers that see its path, or for all."""
    path = Path(picture.path).absolute()
    try:
        state = path.stat()
    except (OSError, ValueError):
        by_bytes, size, modified_s = True, -1, 0.0
    else:
        size, modified_s = state.st_size, state.st_mtime
    data = error = None
    if by_bytes:
        try:
            data = read_picture(Path(picture.path))
        except UsageError as reason:
            error = str(reason)
    return SentPicture(picture, size, modified_s, data, error)


# What follows runs on the workers.


def version() -> str:
    """The version of this package."""
    return __version__


def _place(digest: str) -> Path:
    return cache.cache_folder() / FOLDER / digest


def lacking(digests: Sequence[str]) -> tuple[str, ...]:
    """Those of the parcels `digests` that this machine does not have; the others are kept a while longer."""
    missing = []
    for digest in digests:
        try:
            os.utime(_place(digest))
        except OSError:
            missing.append(digest)
    return tuple(missing)


def store(digest: str, content: dict[str, bytes]) -> None:
    """Keep a parcel here, and no more than KEPT in all."""
    folder = _place(digest)
    temporary = atomic.temporary_beside(folder)
    atomic.remove_leftovers(folder)
    atomic.write_files(temporary, content)
    with contextlib.suppress(OSError):  # another worker of this machine was faster
        temporary.rename(folder)
    atomic.discard(temporary)
    by_age = sorted((path.stat().st_mtime, path) for path in folder.parent.iterdir() if not path.name.startswith("."))
    for _, old in by_age[:-KEPT]:
        atomic.discard(old)


def prepare(task: Task) -> Outcome:
    """No rows, once a process has loaded the arms, unless what it needs is missing here; or the error that it met."""
    if _missing(task):
        return Outcome()
    return _answered(task, lambda: _ask(task, Chunk(task.number, ())))


def work(task: Task) -> Outcome:
    """The rows of `task`, or what is missing here."""
    if missing := _missing(task):
        return Outcome(worker=clusters.this_worker(), lacks=missing)
    if not all(each.data or each.error or each.is_seen() for each in task.pictures):
        return Outcome(unseen=True)
    return _answered(task, lambda: _rows(task))


def _missing(task: Task) -> tuple[str, ...]:
    return lacking(sorted({digest for arm in task.arms for digest in (arm.folder, arm.source) if digest is not None}))


def _answered(task: Task, answer: Callable[[], Rows]) -> Outcome:
    try:
        return Outcome(answer())
    except EdgeSqueezeError as error:
        text = str(error)
        for arm in task.arms:
            text = text.replace(arm.there().folder, arm.arm.folder)
        return Outcome(error=f"{clusters.this_worker()}: {text}", code=int(error.exit_code))


def _rows(task: Task) -> Rows:
    """The rows of `task`, in whose messages the pictures have the paths that they have on the desk."""
    with tempfile.TemporaryDirectory(prefix="edge-squeeze-") as folder:
        paths = [_written(each, Path(folder, str(at))) for at, each in enumerate(task.pictures)]
        usable = [at for at, each in enumerate(task.pictures) if each.error is None]
        pictures = tuple(Picture(task.pictures[at].picture.name, paths[at]) for at in usable)
        rows = _ask(task, Chunk(task.number, pictures)) if usable else Rows(task.number, [], 0.0, 0.0)
    every = [Row(None, each.error, False, []) for each in task.pictures]
    for at, row in zip(usable, rows.rows, strict=True):
        every[at] = row._replace(error=row.error and row.error.replace(paths[at], task.pictures[at].picture.path))
    return rows._replace(rows=every)


def _written(sent: SentPicture, folder: Path) -> str:
    """Where the picture is on this machine, once its bytes are there."""
    if sent.data is None:
        return sent.picture.path
    folder.mkdir()
    path = folder / Path(sent.picture.path).name
    path.write_bytes(sent.data)
    return str(path)


_idle: dict[str, list[tuple[float, Process]]] = defaultdict(list)  # evaluation -> processes, and since when
_closed: deque[str] = deque(maxlen=MOST_CLOSED)
_lock = threading.Lock()


def _ask(task: Task, chunk: Chunk) -> Rows:
    """The rows of `chunk`, from a process of this worker that has loaded the arms; it is kept for the next."""
    with _lock:
        process = _idle[task.evaluation].pop()[1] if _idle[task.evaluation] else None
    if is_new := process is None:
        process = Process()
    try:
        if is_new:
            process.send({"parent": os.getpid(), "arms": [asdict(each.there()) for each in task.arms]})
            process.receive()
        rows = process.ask(chunk)
    except BaseException:
        process.end()
        raise
    with _lock:
        _idle[task.evaluation].append((time.monotonic(), process))
    if task.evaluation in _closed:  # while this was computed
        close(task.evaluation)
    elif is_new:
        _look_later()
    return rows


def _look_later() -> None:
    """End, after a while, what is idle: if the desk is lost, nobody asks for that."""
    timer = threading.Timer(IDLE_S, _end_idle)
    timer.daemon = True
    timer.start()


def _end_idle() -> None:
    _end(lambda _, since: time.monotonic() - since > IDLE_S)
    if _idle:
        _look_later()


def close(evaluation: str) -> None:
    """End the processes of `evaluation` on this worker, as soon as they have finished what they are at."""
    _closed.append(evaluation)
    _end(lambda key, _: key == evaluation)


def _end(is_over: Callable[[str, float], bool]) -> None:
    with _lock:
        over = [(key, entry) for key, entries in _idle.items() for entry in entries if is_over(key, entry[0])]
        for key, entry in over:
            _idle[key].remove(entry)
        for key in [key for key, entries in _idle.items() if not entries]:
            del _idle[key]
    for _, (_, process) in over:
        process.end()
