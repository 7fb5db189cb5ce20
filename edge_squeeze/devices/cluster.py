"""A running Dask scheduler and its workers: functions run there, tasks spread over them, whoever of them is lost."""

from __future__ import annotations

import contextlib
import logging
import queue
import re
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from edge_squeeze.errors import DeviceError, MissingDependencyError, UsageError
from edge_squeeze.packages import is_installed

if TYPE_CHECKING:
    from distributed import Client, Future

PACKAGE, EXTRA = "distributed", "cluster"
CONNECT_S = 10
WORKERS_S = 20  # those of a batch system take a while to appear
PATIENCE_S = 60  # without a single worker
LOOK_S = 2.0
IN_FLIGHT = 2  # tasks for each thread: one runs, one waits
ATTEMPTS = 3  # of a task whose workers died; each stands for several tries of the scheduler
START = "Start some with: dask worker {address} --nthreads 1"
RESUME = "What is finished is kept: run the same command again."
# With a port, for which Dask has no default.
ADDRESS = re.compile(r"(?:[a-z][a-z0-9+]*://)?(?:\[[0-9A-Fa-f:.%\w-]+\]|[^\s:/\[\]]+):[0-9]{1,5}")
REQUIRED = "Required: the address that `dask scheduler` prints, such as tcp://192.168.1.20:8786"
Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass
class Cluster:
    """The workers of the scheduler at `address`."""

    address: str
    client: Client
    _answers: queue.SimpleQueue[Future] = field(default_factory=queue.SimpleQueue, init=False)

    def threads(self) -> dict[str, int]:
        """The tasks that each worker runs at the same time, by its address; DeviceError if the scheduler is lost."""
        try:
            return dict(self.client.nthreads())
        except OSError as error:
            raise self._lost() from error

    def on(self, workers: Sequence[str], function: Callable[..., Result], *args: Any) -> dict[str, Result]:
        """What `function` returns on each of `workers`; those that are lost meanwhile are left out.

        DeviceError if it cannot be run there, which says what to install, or if the scheduler is lost.
        """
        if not workers:
            return {}
        try:
            answers = self.client.run(function, *args, workers=list(workers), on_error="return")
        except OSError as error:
            raise self._lost() from error
        results = {}
        for worker, answer in answers.items():
            if isinstance(answer, ImportError):
                raise DeviceError(
                    f"{worker} cannot run edge-squeeze: {answer}. Install the version that is installed here on every "
                    "worker, with the engines of the files: pip install edge-squeeze[litert]"
                )
            if isinstance(answer, OSError) and _is_lost(answer):
                continue
            if isinstance(answer, Exception):
                raise DeviceError(f"{worker}: {type(answer).__name__}: {answer}") from answer
            results[worker] = answer
        return results

    def on_each_thread(self, function: Callable[[Task], Result], task: Task) -> list[Result]:
        """What `function` returns for `task` on each thread of each worker, as far as these are not lost meanwhile."""
        places = [worker for worker, count in self.threads().items() for _ in range(count)]
        futures = [
            self.client.submit(function, task, key=_key(), pure=False, workers=[worker], allow_other_workers=True)
            for worker in places
        ]
        results = [self._result(future, 1) for future in futures]
        return [result for result in results if not isinstance(result, _Lost)]

    def spread(
        self,
        function: Callable[[Task], Result],
        tasks: Iterable[Task],
        again: Callable[[Task, Result], Task | None],
    ) -> Iterator[Result]:
        """The results of `function` for each of `tasks`, as they come; few tasks are underway at a time.

        The scheduler gives a task whose worker is lost to another one.

        Args:
            function: What the workers run; it can be imported there.
            tasks: What it gets.
            again: The task to run instead if a result says that something was missing; None for a result.

        Raises:
            DeviceError: The scheduler or all workers are lost, or a task took several workers with it.
        """
        waiting, underway = iter(tasks), dict[str, tuple[Task, Any, int]]()

        def submit(task: Task, attempt: int) -> None:
            key = _key()
            future = self.client.submit(function, task, key=key, pure=False)
            underway[key] = task, future, attempt
            future.add_done_callback(self._answers.put)

        try:
            self._fill(waiting, underway, submit)
            while underway:
                future = self._next()
                task, _, attempt = underway.pop(future.key)
                result = self._result(future, attempt, PATIENCE_S)
                if isinstance(result, _Lost):
                    submit(task, attempt + 1)
                elif (repeated := again(task, result)) is not None:
                    submit(repeated, attempt)
                else:
                    yield result
                    self._fill(waiting, underway, submit)
        finally:
            with contextlib.suppress(Exception):  # the scheduler may be gone
                self.client.cancel([future for _, future, _ in underway.values()])

    def _fill(self, waiting: Iterator[Task], underway: dict[str, Any], submit: Callable[[Task, int], None]) -> None:
        """Submit as many tasks as keep the workers busy."""
        most = IN_FLIGHT * max(1, sum(self.threads().values()))
        while len(underway) < most and (task := next(waiting, None)) is not None:
            submit(task, 1)

    def _next(self) -> Future:
        """The next task that has ended; DeviceError if there is nobody left to end one."""
        last_seen = time.monotonic()
        while True:
            try:
                return self._answers.get(timeout=LOOK_S)
            except queue.Empty:
                if self.client.status != "running":
                    raise self._lost() from None
                if self.threads():
                    last_seen = time.monotonic()
                if time.monotonic() - last_seen > PATIENCE_S:
                    raise DeviceError(
                        f"The Dask scheduler at {self.address} has lost all workers. "
                        f"{START.format(address=self.address)}. {RESUME}"
                    ) from None

    def _result(self, future: Future, attempt: int, timeout_s: float | None = None) -> Any:
        """What the task returned; `_Lost` if it has to be submitted again."""
        from distributed import KilledWorker

        if future.status == "cancelled":
            raise self._lost()
        try:
            # "lost" and a timeout: the worker was lost after it had finished the task, before its result was fetched.
            return _Lost() if future.status == "lost" and attempt < ATTEMPTS else future.result(timeout=timeout_s)
        except CancelledError as error:  # the scheduler was lost meanwhile
            raise self._lost() from error
        except (KilledWorker, TimeoutError) as error:
            if attempt < ATTEMPTS:
                return _Lost()
            raise DeviceError(
                f"The cluster at {self.address} lost every worker that a part of the work was given to, possibly for "
                f"lack of memory: {error}"
            ) from error

    def _lost(self) -> DeviceError:
        return DeviceError(
            f"The connection to the Dask scheduler at {self.address}, or to its workers, was lost. {RESUME}"
        )


def this_worker() -> str:
    """The address of the worker that runs this task."""
    from distributed import get_worker

    return str(get_worker().address)


def _key() -> str:
    return f"edge-squeeze-{uuid.uuid4().hex}"


class _Lost:
    """Instead of the result of a task whose workers were lost."""


def _is_lost(error: OSError) -> bool:
    """Whether `error` is the scheduler's, who cannot reach a worker; others are those of the function."""
    return type(error).__module__.startswith("distributed")


def check(address: str) -> None:
    """Raise UsageError unless `address` may be that of a scheduler."""
    if not ADDRESS.fullmatch(address):
        raise UsageError(f"{address!r} is not the address of a Dask scheduler. {REQUIRED}.")


@contextlib.contextmanager
def connect(address: str) -> Iterator[Cluster]:
    """The cluster of the scheduler at `address`, which has at least one worker, until the end of the block.

    Raises:
        MissingDependencyError: Dask's `distributed` is not installed.
        DeviceError: The scheduler cannot be reached, or has no workers.
    """
    if not is_installed(PACKAGE):
        raise MissingDependencyError(PACKAGE, EXTRA, "--cluster")
    from distributed import Client

    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what matters is raised, and said once
    try:
        client = Client(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise DeviceError(
            f"Cannot connect to a Dask scheduler at {address!r}: {str(error) or type(error).__name__}. {REQUIRED}."
        ) from error
    try:
        with contextlib.suppress(TimeoutError):
            client.wait_for_workers(1, timeout=WORKERS_S)
        if not client.nthreads():
            raise DeviceError(f"The Dask scheduler at {address} has no workers. {START.format(address=address)}")
        yield Cluster(address, client)
    finally:
        with contextlib.suppress(Exception):  # the scheduler may be gone
            client.close(timeout=LOOK_S)
