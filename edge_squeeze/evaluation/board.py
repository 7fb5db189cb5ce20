"""An evaluation on a board: artifacts and pictures go there in one piece, and the rows come back.

The original, the labels and all figures stay on the desk. The board runs `evaluate --rows`, which prints `pack`.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_squeeze.devices import session
from edge_squeeze.devices.address import Address
from edge_squeeze.devices.job import Job
from edge_squeeze.errors import DeviceError, UsageError
from edge_squeeze.evaluation.chunks import Arm, Chunk, Picture, Row, Rows
from edge_squeeze.evaluation.executor import Run
from edge_squeeze.evaluation.result import Evaluation
from edge_squeeze.pictures.loading import read_picture

FOLDER, LIST = "pictures", "pictures.txt"
SENT = re.compile(rf"\S*{FOLDER}/(?P<number>[0-9]{{8}})(?:\.\w+)?")


def pack(evaluation: Evaluation) -> dict[str, Any]:
    """The rows of an evaluation on this board, and what they took, for the desk."""
    rates, table = evaluation.rates, evaluation.table
    spent = {"workers": evaluation.workers, "seconds": 0.0, "decode_s": 0.0, "run_s": 0.0}
    if rates is not None:
        each = evaluation.workers * rates.pictures  # the rates are those of all cores
        spent |= {
            "seconds": rates.seconds,
            "decode_s": each / rates.decode_per_s,
            "run_s": each / rates.run_per_s,
        }
    return {**spent, "rows": list(table.packed())}


@dataclass
class Board:
    """The device at `address`, whose lines go to `tell` as they come."""

    address: Address
    tell: Callable[[str], None]
    setup: bool = False
    runtime: str | None = None
    requested: int | None = None  # processes there; None for one on each core
    workers: int = 1  # known when it has answered
    seconds: float | None = None  # that the board took, without what connecting and copying did

    @property
    def kind(self) -> str:
        """The device, as the user wrote it."""
        return self.address.text

    @contextlib.contextmanager
    def ready(self, arms: Sequence[Arm]) -> Iterator[Run]:
        """As the protocol says.

        Raises:
            DeviceError: The board cannot be used.
            FailedThereError: The command failed there.
        """
        yield lambda chunks: self._run(arms, list(chunks))

    def _run(self, arms: Sequence[Arm], chunks: Sequence[Chunk]) -> Iterator[Rows]:
        pictures = [picture for chunk in chunks for picture in chunk.pictures]
        errors = {at: error for at, picture in enumerate(pictures) if (error := _problem(picture))}
        sent = [at for at in range(len(pictures)) if at not in errors]
        answer = self._ask(arms, [pictures[at] for at in sent]) if sent else {"rows": []}
        rows = {at: Row(None, error, False, []) for at, error in errors.items()}
        rows |= dict(zip(sent, _unpack(answer, [pictures[at] for at in sent], self.kind), strict=True))
        start, share = 0, 1 / max(1, len(sent))
        for chunk in chunks:
            own = [rows[at] for at in range(start, start + len(chunk.pictures))]
            start += len(own)
            part = share * sum(row.error is None for row in own)
            yield Rows(chunk.number, own, part * answer.get("decode_s", 0.0), part * answer.get("run_s", 0.0))

    def _ask(self, arms: Sequence[Arm], pictures: Sequence[Picture]) -> Mapping[str, Any]:
        """What the board says of `pictures`."""
        artifacts = [Path(arm.folder) for arm in arms]
        with tempfile.TemporaryDirectory(prefix="edge-squeeze-") as folder:
            options = [] if self.runtime is None else ["--runtime", self.runtime]
            options += [] if self.requested is None else ["--workers", str(self.requested)]
            options += ["--no-original", "--skip-unreadable", "--rows"]
            images = _gather(pictures, Path(folder))
            job = Job(["evaluate", "--images", images, *options, "--", *artifacts], artifacts, self.runtime)
            outcome = session.run_alone(self.address, job, self.tell, setup=self.setup)
        try:
            answer: dict[str, Any] = json.loads(outcome.output)
            self.workers, self.seconds = int(answer["workers"]), float(answer["seconds"])
        except (ValueError, KeyError, TypeError) as error:
            raise DeviceError(f"{self.kind}: its answer cannot be read: {error}. Try again.") from error
        return answer


def _problem(picture: Picture) -> str | None:
    """Why the file of `picture` cannot be sent."""
    try:
        Path(picture.path).open("rb").close()
    except (OSError, ValueError):
        try:
            read_picture(Path(picture.path))
        except UsageError as error:
            return str(error)
    return None


def _gather(pictures: Sequence[Picture], folder: Path) -> Path:
    """A list in `folder` of `pictures`, gathered there under numbers: wherever they are, a job can take it."""
    names = [f"{FOLDER}/{at:08}{Path(picture.path).suffix}" for at, picture in enumerate(pictures)]
    (folder / FOLDER).mkdir()
    for name, picture in zip(names, pictures, strict=True):
        path = Path(picture.path).absolute()
        try:
            (folder / name).symlink_to(path)
        except OSError:  # Windows lets few users
            shutil.copyfile(path, folder / name)
    (folder / LIST).write_text("".join(f"{name}\n" for name in names), encoding="utf-8", newline="\n")
    return folder / LIST


def _unpack(answer: Mapping[str, Any], pictures: Sequence[Picture], device: str) -> list[Row]:
    """The rows of `pictures`, in whose messages these have the paths that they have here."""
    try:
        rows = Rows.decode([0, answer["rows"], 0.0, 0.0]).rows
    except (ValueError, TypeError) as error:
        raise DeviceError(f"{device}: its answer cannot be read: {error}. Try again.") from error
    if len(rows) != len(pictures):
        raise DeviceError(f"{device}: its answer has {len(rows):,} of {len(pictures):,} rows. Try again.")
    return [
        row._replace(error=row.error and SENT.sub(picture.path.replace("\\", r"\\"), row.error))
        for row, picture in zip(rows, pictures, strict=True)
    ]
