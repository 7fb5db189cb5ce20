"""A whole evaluation, top-down: artifacts and labeled pictures in, figures out; resumed where it was interrupted."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from edge_squeeze.artifact.folder import load
from edge_squeeze.errors import UnreadablePicturesError, UsageError
from edge_squeeze.evaluation import against as earlier, arms as subjects, figures, trained
from edge_squeeze.evaluation.arms import Arms
from edge_squeeze.evaluation.chunks import SIZE, Chunk, Picture, Rows
from edge_squeeze.evaluation.cluster import Dask
from edge_squeeze.evaluation.executor import Executor, Local
from edge_squeeze.evaluation.options import EvaluateOptions
from edge_squeeze.evaluation.result import Evaluation, Rates
from edge_squeeze.evaluation.table import Table
from edge_squeeze.files import cache, reading
from edge_squeeze.files.journal import Journal
from edge_squeeze.machine import host
from edge_squeeze.pictures import labeled
from edge_squeeze.pictures.labeled import LabeledPicture, LabeledPictures
from edge_squeeze.pictures.listing import left_out
from edge_squeeze.pictures.loading import refuse
from edge_squeeze.proof import leakage
from edge_squeeze.proof.leakage import FEWEST
from edge_squeeze.reporting import Reporter
from edge_squeeze.version import __version__

FOLDER = "evaluations"  # of journals, in the cache
DURABLE_EVERY_S = 2.0
SHORTEST_S = 1e-9
ORIGINAL_BYTES = 1 << 30  # what a process takes that has loaded TensorFlow


def evaluate(
    folders: Sequence[Path],
    options: EvaluateOptions,
    reporter: Reporter,
    executor: Executor | None = None,
    journal: Path | None = None,
) -> Evaluation:
    """Show every picture to every artifact in `folders`, and to their originals where these can be had.

    Args:
        folders: Folders that `export` left.
        options: The pictures and how to go about it.
        reporter: Receives the progress.
        executor: Who computes; by default what `options` say.
        journal: Where finished work is kept until the end; by default in the cache, where the next run finds it.

    Raises:
        UnreadablePicturesError: Some pictures could not be read; its `evaluation` is that on the others.
        UsageError: An artifact, the labels or the pictures cannot be used.
        ConversionError: An engine refuses a file, or crashed.
        MissingDependencyError: No engine for a file is installed.
    """
    saved = None if options.against is None else earlier.load(options.against)
    with reporter.step("artifacts and labels"):
        found = subjects.find(folders, options)
        calibrated, learned = _calibrated(found), trained.learned_from(found.artifacts)
        pictures = labeled.find(options.images, options.labels, found.classes, options.samples, calibrated, learned)
        notes = [*found.notes, *pictures.remarks, *left_out(options.images), *_without_original(found)]
        remarks = [*trained.others(found.artifacts, options.images), *trained.left_out(pictures)]
        for note in [*notes, *remarks]:
            reporter.note(note)
    trained.check(pictures)
    _check_calibration(pictures, calibrated, options)
    work = _Work(Table(pictures.pictures, found.arms), executor or _executor(found, len(pictures.pictures), options))
    path = journal or _path(work.table, options.board)
    with Journal(path, _busy(options), fresh=options.fresh, durable_every_s=DURABLE_EVERY_S) as kept:
        with reporter.step("engines"):
            work.resume(kept)
            if work.resumed:
                reporter.note(f"resumed: {work.resumed:,} pictures were evaluated before. --fresh starts over")
            run = work.start()
        with reporter.step("evaluate"), run:
            _finish(work, kept, reporter)
        result = _result(work, found, options, notes, remarks)
        count = pictures.count if options.samples is None else len(pictures.pictures)
        result = replace(result, count=count, learned=pictures.learned)
        kept.finish()
    for remark in result.remarks[len(remarks) :]:
        reporter.note(remark)
    if saved is not None:
        result = replace(result, against=earlier.compare(result.table, result.artifacts, saved))
    _refuse_unreadable(result, skip=options.skip_unreadable)
    return result


def _finish(work: _Work, journal: Journal, reporter: Reporter) -> None:
    try:
        work.finish(journal, reporter)
    except BaseException:
        if count := SIZE * len(work.done):
            reporter.note(f"the answers for {count:,} pictures are kept. The same command resumes from there")
        raise


@dataclass
class _Work:
    """The table that fills, and who fills it."""

    table: Table
    executor: Executor
    done: set[int] = field(default_factory=set)  # numbers of chunks
    resumed: int = 0  # pictures
    rates: Rates | None = None

    def resume(self, journal: Journal) -> None:
        """Take over what an interrupted evaluation has finished."""
        for line in journal.read():
            rows = Rows.decode(line)
            self.table.put(rows)
            self.done.add(rows.number)
            self.resumed += len(rows.rows)

    def start(self) -> contextlib.ExitStack:
        """The arms loaded wherever the rest of the work is done, until the end of the block."""
        stack = contextlib.ExitStack()
        if rest := self._rest():
            run = stack.enter_context(self.executor.ready(self.table.arms))
            self._rows = run(_chunk(self.table.pictures, number) for number in rest)
        return stack

    def _rest(self) -> list[int]:
        return [number for number in range(-(-len(self.table.pictures) // SIZE)) if number not in self.done]

    def finish(self, journal: Journal, reporter: Reporter) -> None:
        """Compute what is left, and keep every chunk that is finished."""
        if not (rest := self._rest()):
            return
        begun, decode_s, run_s = time.perf_counter(), 0.0, 0.0
        for rows in reporter.track(_Counted(self._rows, len(rest)), f"chunks of {SIZE} pictures"):
            journal.append(rows)
            self.table.put(rows)
            self.done.add(rows.number)
            decode_s, run_s = decode_s + rows.decode_s, run_s + rows.run_s
        seconds = getattr(self.executor, "seconds", None) or time.perf_counter() - begun
        workers = self.executor.workers
        count = len(self.table.pictures) - self.resumed
        of_cores = (count * workers / max(spent, SHORTEST_S) for spent in (decode_s, run_s))
        self.rates = Rates(count, seconds, count / seconds, *of_cores)


@dataclass(frozen=True)
class _Counted:
    """Rows that come one by one, of a number that is known."""

    rows: Iterator[Rows]
    count: int

    def __iter__(self) -> Iterator[Rows]:
        return self.rows

    def __len__(self) -> int:
        return self.count


def _chunk(pictures: Sequence[LabeledPicture], number: int) -> Chunk:
    own = pictures[number * SIZE : (number + 1) * SIZE]
    return Chunk(number, tuple(Picture(picture.name, str(picture.path)) for picture in own))


def _executor(found: Arms, pictures: int, options: EvaluateOptions) -> Executor:
    """The cluster that was asked for, else processes for the cores of this machine.

    There are fewer of them for few pictures, and where the memory has no room for them.
    """
    if options.cluster is not None:
        return Dask(options.cluster)
    workers = min(options.most_workers, -(-pictures // SIZE))
    free = host.read().memory
    if free is not None and options.workers is None and any(arm.is_original for arm in found.arms):
        workers = min(workers, free.free_bytes // ORIGINAL_BYTES)
    return Local(max(1, workers))


def _calibrated(found: Arms) -> frozenset[str]:
    """The sha256 of the files that int8 was calibrated on."""
    records = [record for arm in found.arms if not arm.is_original for record in leakage.read(load(Path(arm.folder)))]
    return frozenset(record.file_sha256 for record in records if record.file_sha256 is not None)


def _check_calibration(found: LabeledPictures, calibrated: frozenset[str], options: EvaluateOptions) -> None:
    """Raise UsageError before any work if so many of few pictures were used for calibration that too few remain."""
    pictures, passed_over = found.pictures, found.passed_over
    if passed_over and options.samples is not None and len(pictures) < options.samples:
        _refuse_calibrated(passed_over, len(pictures) + passed_over, len(pictures))
    if len(pictures) - len(calibrated) >= FEWEST:
        return
    with contextlib.suppress(OSError):  # reading it as a picture tells why
        leaked = sum(reading.sha256(picture.path) in calibrated for picture in pictures)
        _refuse_calibrated(leaked, len(pictures), len(pictures) - leaked)


def _refuse_calibrated(leaked: int, count: int, remain: int) -> None:
    """Raise UsageError if int8 was calibrated on so many of the pictures that too few remain."""
    if leaked and remain < FEWEST:
        raise UsageError(
            f"int8 was calibrated on {leaked:,} of the {count:,} pictures, which leaves {remain}. Required: at least "
            f"{FEWEST}, better 100, that it was not calibrated on. Give others with --images."
        )


def _refuse_unreadable(result: Evaluation, *, skip: bool) -> None:
    """Raise UnreadablePicturesError if there are any and they are not to be skipped."""
    try:
        refuse({} if skip else result.unreadable)
    except UsageError as error:
        raise UnreadablePicturesError(str(error), result) from error


def _without_original(found: Arms) -> list[str]:
    """A note for each reason why artifacts are evaluated without their originals."""
    reasons: dict[str, list[str]] = {}
    for name, reason in found.without_original.items():
        reasons.setdefault(reason, []).append(name)
    return [
        f"{'' if len(names) == len(found.arms) else ', '.join(names) + ': '}no agreement with the original and no "
        f"verdict, because {reason}"
        for reason, names in reasons.items()
    ]


def _path(table: Table, board: str | None) -> Path:
    """The journal of the same evaluation: of the same model files, on the same unchanged pictures and device."""
    digest = sha256(json.dumps([__version__, board, [asdict(arm) for arm in table.arms]]).encode())
    for picture in table.pictures:
        digest.update(f"{picture.path.absolute()}\0{_state(picture.path)}\n".encode("utf-8", "surrogatepass"))
    return cache.cache_folder() / FOLDER / f"{digest.hexdigest()[:16]}.jsonl"


def _state(path: Path) -> str:
    """What changes when the file at `path` does."""
    try:
        state = path.stat()
    except (OSError, ValueError):
        return ""
    return f"{state.st_size} {state.st_mtime_ns}"


def _busy(options: EvaluateOptions) -> str:
    return (
        f"The same evaluation on {options.images} is running already. Wait for it, end it, or set EDGE_SQUEEZE_CACHE "
        "to another folder."
    )


def _result(
    work: _Work, found: Arms, options: EvaluateOptions, notes: Sequence[str], known: Sequence[str]
) -> Evaluation:
    """The figures; UsageError if there is nothing that they could be made of."""
    table = work.table
    count, leaked = len(table.pictures), int((table.answered & table.calibrated).sum())
    if not table.answered.any():
        first, *more = table.errors.values()
        raise UsageError(f"{first}\nNor can any of the {len(more):,} others be read." if more else first)
    _refuse_calibrated(leaked, count, int(table.counted.sum()))
    remarks = [*known]
    if leaked:
        of_all = f"{leaked:,} of the {count:,} pictures"
        remarks.append(f"left out {of_all}: int8 was calibrated on them, which would flatter it")
    every = [
        figures.of_arm(table, at, found.classes, found.without_original.get(arm.name))
        for at, arm in enumerate(table.arms)
    ]
    artifacts_ = sum(not arm.is_original for arm in table.arms)
    return Evaluation(
        source=str(options.images),
        artifacts=every[:artifacts_],
        originals=every[artifacts_:],
        comparisons=figures.compare(table, artifacts_),
        unreadable={table.pictures[at].name: text for at, text in sorted(table.errors.items())},
        calibrated=leaked,
        notes=[*notes, *remarks],
        remarks=remarks,
        executor=work.executor.kind,
        workers=work.executor.workers,
        resumed=work.resumed,
        rates=work.rates,
        table=table,
        created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
    )
