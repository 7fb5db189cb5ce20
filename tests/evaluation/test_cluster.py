"""Evaluations on a Dask cluster: the rows of this machine, whatever the workers see, lack or suffer."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import color_classifier
import pytest
from colored_pictures import save_blotches
from commands import run
from places import ROOT

from edge_squeeze.artifact import folder as artifacts
from edge_squeeze.devices import cluster as clusters
from edge_squeeze.errors import DeviceError, MissingDependencyError, UsageError
from edge_squeeze.evaluation import chunks, cluster, evaluation as evaluations
from edge_squeeze.evaluation.chunks import SIZE, Arm, Chunk, Picture, Rows
from edge_squeeze.evaluation.cluster import Dask, Outcome, SentPicture, Task
from edge_squeeze.evaluation.executor import Run
from edge_squeeze.evaluation.options import EvaluateOptions
from edge_squeeze.evaluation.result import Evaluation
from edge_squeeze.reporting import Silent

if TYPE_CHECKING:
    from distributed import LocalCluster

pytestmark = pytest.mark.usefixtures("own_cache")
COUNT = 5 * SIZE + 2
SMALL = ROOT / "tests" / "data" / "small-tflite-int8"
NOBODY = "tcp://127.0.0.1:9"  # the port that discards


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two files of one network, of float32 and of int8."""
    return color_classifier.export(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory, folders: list[Path]) -> Path:
    """Labeled pictures, one of which cannot be read."""
    folder = color_classifier.label(tmp_path_factory.mktemp("images"), folders[0], COUNT)
    min(folder.glob("*.png")).write_bytes(b"no picture")
    return folder


@contextlib.contextmanager
def local_cluster(cache: Path, workers: int = 2) -> Iterator[LocalCluster]:
    """Real processes, which have a cache of their own."""
    from distributed import LocalCluster

    environment = {"EDGE_SQUEEZE_CACHE": str(cache)}
    with LocalCluster(
        n_workers=workers, threads_per_worker=1, dashboard_address=":0", env=environment, silence_logs=50
    ) as running:
        yield running


@contextlib.contextmanager
def started(address: str, cache: Path) -> Iterator[None]:
    """A worker as people start one, without a nanny."""
    command = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--no-nanny", "--no-dashboard"]
    environment = {**os.environ, "EDGE_SQUEEZE_CACHE": str(cache)}
    with subprocess.Popen([*command, "--nthreads", "1"], env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.kill()


def evaluate(folders: Sequence[Path], images: Path, executor: object = None, **options: object) -> Evaluation:
    values = {"with_original": False, "fresh": True, "skip_unreadable": True, **options}
    return evaluations.evaluate(folders, EvaluateOptions(images, **values), Silent(), executor)  # type: ignore[arg-type]


def rows(result: Evaluation) -> str:
    return json.dumps([list(result.rows()), result.unreadable])


# The work of a worker, in this process.


def sent(picture: Picture, *, by_bytes: bool) -> SentPicture:
    return cluster._sent(picture, by_bytes=by_bytes)


@pytest.fixture
def chunk(tmp_path: Path) -> Chunk:
    """Two pictures, a file that is none, and one that is missing."""
    folder = save_blotches(tmp_path / "pictures", 2)
    (folder / "text.png").write_bytes(b"no picture")
    files = [*sorted(folder.glob("*.png")), folder / "missing.png"]
    return Chunk(7, tuple(Picture(file.name, str(file)) for file in files))


@pytest.fixture
def desk() -> tuple[Dask, Arm]:
    return Dask(NOBODY), Arm("net", str(SMALL), artifacts.load(SMALL).manifest.file.sha256)


def as_if_on_a_worker(desk: Dask, arm: Arm, chunk: Chunk, *, by_bytes: bool) -> Outcome:
    pictures = tuple(sent(picture, by_bytes=by_bytes) for picture in chunk.pictures)
    return cluster.work(Task("an evaluation", chunk.number, (desk._send(arm),), pictures))


@pytest.mark.parametrize("by_bytes", [False, True])
def test_a_worker_gives_the_rows_of_this_machine(
    desk: tuple[Dask, Arm], chunk: Chunk, by_bytes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clusters, "this_worker", lambda: "worker")
    lacks = as_if_on_a_worker(*desk, chunk, by_bytes=by_bytes)
    assert (lacks.rows, lacks.worker, lacks.lacks) == (None, "worker", tuple(desk[0]._parcels))
    for digest in lacks.lacks:
        cluster.store(digest, desk[0]._parcels[digest].content())
    try:
        outcome = as_if_on_a_worker(*desk, chunk, by_bytes=by_bytes)
    finally:
        cluster.close("an evaluation")
    assert not cluster._idle
    assert outcome.error is None
    assert outcome.rows is not None
    assert outcome.rows.rows == chunks.answer(chunk, [desk[1]]).rows
    assert sum(row.error is not None for row in outcome.rows.rows) == 2
    assert sum(bool(row.answers) for row in outcome.rows.rows) == 2


def test_a_file_of_the_same_path_that_is_another_is_not_taken(chunk: Chunk) -> None:
    picture = sent(chunk.pictures[0], by_bytes=False)
    assert picture.is_seen()
    assert not dataclasses.replace(picture, size=picture.size + 1).is_seen()
    assert not dataclasses.replace(picture, modified_s=picture.modified_s - 60).is_seen()


def test_parcels_are_named_by_their_content_and_the_oldest_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "KEPT", 2)
    digests = []
    for at in range(3):
        (tmp_path / "file.txt").write_text(str(at))
        parcel = cluster._pack(tmp_path / "file.txt")
        cluster.store(parcel.digest, parcel.content())
        os.utime(cluster._place(parcel.digest), (at, at))
        digests.append(parcel.digest)
    assert cluster.lacking(digests) == (digests[0],)
    assert cluster._pack(SMALL).digest == cluster._pack(SMALL).digest


# What does not work is said, with a remedy.


def test_a_missing_package_is_named_with_its_extra(chunk: Chunk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "is_installed", lambda package: package != "distributed")
    with pytest.raises(MissingDependencyError, match=r'--cluster\. Run: pip install "edge-squeeze\[cluster\]"'):
        evaluate([SMALL], Path(chunk.pictures[0].path).parent, cluster=NOBODY)


@pytest.mark.parametrize("address", ["nonsense", "tcp://", "tcp://host", "host:port", ":8786", ""])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match=r"is not the address of a Dask scheduler\. Required: the address that"):
        EvaluateOptions(Path(), cluster=address)
    EvaluateOptions(Path(), cluster="[::1]:8786")


@pytest.mark.parametrize("address", [NOBODY, "http://127.0.0.1:1"])
def test_a_scheduler_that_is_not_there_is_an_error(chunk: Chunk, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "CONNECT_S", 0.5)
    with pytest.raises(DeviceError, match=r"Cannot connect to a Dask scheduler at '.*Required: the address"):
        evaluate([SMALL], Path(chunk.pictures[0].path).parent, cluster=address)


def test_code_of_the_users_is_not_sent() -> None:
    with pytest.raises(UsageError, match="--custom-objects runs your code, which is not sent to other machines"):
        Dask(NOBODY)._send(Arm("original", str(SMALL), None, is_original=True, custom_objects="mine.py"))


def test_workers_are_those_of_the_cluster() -> None:
    with pytest.raises(UsageError, match="--workers"):
        EvaluateOptions(Path(), workers=2, cluster=NOBODY)


# Real clusters.


@pytest.mark.slow
def test_figures_are_those_of_this_machine_to_the_byte(folders: list[Path], images: Path, tmp_path: Path) -> None:
    here = evaluate(folders, images, workers=2, with_original=True)
    with local_cluster(tmp_path / "worker") as running:
        there = evaluate(folders, images, cluster=running.scheduler_address, with_original=True)
        assert (there.executor, there.workers) == ("dask", 2)
        again = evaluate(folders, images, cluster=running.scheduler_address, with_original=True)
    assert rows(here) == rows(there) == rows(again)
    assert (here.artifacts, here.originals, here.comparisons) == (there.artifacts, there.originals, there.comparisons)
    assert len(list((tmp_path / "worker" / "cluster").iterdir())) == len(folders) + 1, "the original's weights, too"


@pytest.mark.slow
def test_pictures_travel_where_their_paths_are_not_seen(
    folders: list[Path], images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_path = cluster._sent

    def another_file(picture: Picture, *, by_bytes: bool) -> SentPicture:
        result = of_path(picture, by_bytes=by_bytes)
        return result if by_bytes else dataclasses.replace(result, modified_s=0.0)

    monkeypatch.setattr(cluster, "_sent", another_file)
    with local_cluster(tmp_path / "worker") as running:
        there = evaluate(folders, images, cluster=running.scheduler_address)
    assert rows(there) == rows(evaluate(folders, images, workers=1))


@pytest.mark.slow
def test_the_command_takes_a_cluster(folders: list[Path], images: Path, tmp_path: Path) -> None:
    options = ("--images", images, "--no-original", "--fresh", "--skip-unreadable", "--json")
    with local_cluster(tmp_path / "worker") as running:
        there = run(tmp_path, "evaluate", *folders, *options, "--cluster", running.scheduler_address)
        assert there.returncode == 0, there.stderr
        document, here = json.loads(there.stdout), json.loads(run(tmp_path, "evaluate", *folders, *options).stdout)
    assert document["executor"] == {"kind": "dask", "workers": 2, "chunk": SIZE}
    for key in ("command", "executor", "rates"):
        assert document.pop(key) != here.pop(key), key
    del document["created_utc"], here["created_utc"]  # in whole seconds, so that they may be equal
    assert json.dumps(document) == json.dumps(here)


@dataclass
class Struck(Dask):
    """A cluster that suffers something after its first rows."""

    blow: object = None

    @contextlib.contextmanager
    def ready(self, arms: Sequence[Arm]) -> Iterator[Run]:
        with super().ready(arms) as run:
            yield lambda pieces: self._struck(run(pieces))

    def _struck(self, finished: Iterable[Rows]) -> Iterator[Rows]:
        for number, each in enumerate(finished):
            yield each
            if number == 0:
                self.blow()  # type: ignore[operator]


def wait_until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.01)


def kill(running: LocalCluster) -> None:
    """Kill the process of one of the workers."""
    with clusters.connect(running.scheduler_address) as connection:
        (pid,) = connection.on(list(connection.threads())[:1], os.getpid).values()
    os.kill(pid, signal.SIGKILL)


@pytest.mark.slow
def test_a_worker_killed_half_way_loses_nothing(folders: list[Path], images: Path, tmp_path: Path) -> None:
    """Its nanny starts another, which has loaded nothing yet."""
    with local_cluster(tmp_path / "worker") as running:
        there = evaluate(folders, images, Struck(running.scheduler_address, blow=lambda: kill(running)))
    assert rows(there) == rows(evaluate(folders, images, workers=1))


@pytest.mark.slow
@pytest.mark.parametrize("finished", [False, True])
def test_a_worker_killed_for_good_leaves_its_work_to_one_that_comes_later(
    folders: list[Path], images: Path, tmp_path: Path, finished: bool
) -> None:
    """Also what it had finished, if nobody had fetched it yet."""
    with contextlib.ExitStack() as stack:
        running = stack.enter_context(local_cluster(tmp_path / "worker", workers=0))
        stack.enter_context(started(running.scheduler_address, tmp_path / "first"))

        def replace_it() -> None:
            if finished:
                wait_until(lambda: all(task.state == "memory" for task in running.scheduler.tasks.values()))
            kill(running)
            if finished:
                wait_until(lambda: not running.scheduler.workers)
            stack.enter_context(started(running.scheduler_address, tmp_path / "second"))

        there = evaluate(folders, images, Struck(running.scheduler_address, blow=replace_it))
    assert rows(there) == rows(evaluate(folders, images, workers=1))
    assert len(list((tmp_path / "second" / "cluster").iterdir())) == len(folders), "it was sent what it lacked"


@pytest.mark.slow
def test_losing_every_worker_or_the_scheduler_is_an_error_that_a_second_run_resumes_from(
    folders: list[Path], images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clusters, "PATIENCE_S", 3)
    with local_cluster(tmp_path / "worker") as running:
        lost = Struck(running.scheduler_address, blow=lambda: running.scale(0))
        with pytest.raises(
            DeviceError,
            match=r"has lost all workers\. Start some with: dask worker tcp://.*again|workers, was lost.*again",
        ):
            evaluate(folders, images, lost)
    with local_cluster(tmp_path / "worker") as running:
        gone = Struck(running.scheduler_address, blow=running.close)
        with pytest.raises(
            DeviceError, match=r"The connection to the Dask scheduler at tcp://.*, or to its workers, was lost.*again"
        ):
            evaluate(folders, images, gone, fresh=False)
    finished = evaluate(folders, images, workers=1, fresh=False)
    assert finished.resumed >= 2 * SIZE
    assert rows(finished) == rows(evaluate(folders, images, workers=1))


@pytest.mark.slow
def test_errors_of_workers_are_raised_here(folders: list[Path], images: Path, tmp_path: Path) -> None:
    arm = Arm("net", str(folders[0]), artifacts.load(folders[0]).manifest.file.sha256, runtime="none")
    with local_cluster(tmp_path / "worker", workers=1) as running:
        with pytest.raises(UsageError, match=r"tcp://.*'none'"), Dask(running.scheduler_address).ready([arm]):
            pass
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cluster, "__version__", "0.0.1")
            with pytest.raises(DeviceError, match=r"and this is 0\.0\.1: .*Install the same version everywhere"):
                evaluate(folders, images, cluster=running.scheduler_address)


@pytest.mark.slow
def test_a_scheduler_without_workers_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "WORKERS_S", 0.5)
    with (
        local_cluster(tmp_path / "worker", workers=0) as running,
        pytest.raises(DeviceError, match=r"has no workers\. Start some with: dask worker"),
        clusters.connect(running.scheduler_address),
    ):
        pass
