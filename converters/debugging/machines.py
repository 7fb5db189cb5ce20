"""The machine whose kernels are judged: this one, or a board that is sent pixels and answers with scores."""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from edge_squeeze.artifact import folder as artifacts
from edge_squeeze.artifact.folder import Artifact
from edge_squeeze.devices import session
from edge_squeeze.devices.address import Address
from edge_squeeze.devices.job import Job
from edge_squeeze.engines.runner import Runner, RunOptions, open_runner
from edge_squeeze.errors import ConversionError, DeviceError, UsageError
from edge_squeeze.files.reading import decode
from edge_squeeze.inspection import operator_times
from edge_squeeze.machine import host
from edge_squeeze.pictures.loading import open_picture
from edge_squeeze.pictures.preprocessing import Pixels
from edge_squeeze.proof import golden
from edge_squeeze.proof.golden import GoldenCheck
from edge_squeeze.reporting import Reporter
from edge_squeeze.scores import Scores

CHUNK = 4  # pictures between updates of the progress bar
PIXELS, FLOATS = "pixels", "floats"  # arrays of a question
Times = Mapping[str, float]  # microseconds by layer


@dataclass(frozen=True)
class Answer:
    """What a machine makes of the pictures with the file of an artifact."""

    runtime: str
    kernels: str
    scores: Scores  # [N,classes], as the file gives them
    golden: GoldenCheck
    made: Pixels  # of the golden picture [H,W,3]
    times: list[Times] | None = None  # of the layers of the float32 file and of the artifact's, if they were asked for


class Machine(Protocol):
    """Where the file runs."""

    @property
    def name(self) -> str | None:
        """The device as the user wrote it; None for this machine."""
        ...

    def answer(self, pixels: Pixels, float_data: bytes | None, reporter: Reporter) -> Answer:
        """What the file gives for `pixels` [N,H,W,3].

        A board that is given a `float_data`, the float32 file of the same network, also measures the times of layers,
        unless its processor is emulated.
        """
        ...


class Here:
    """The machine that this process runs on, where an engine has loaded the file."""

    name = None

    def __init__(self, artifact: Artifact, data: bytes, options: RunOptions) -> None:
        """`data` is the file of `artifact`; ConversionError if the engine refuses it."""
        self._artifact, self.runner = artifact, open_runner(data, artifact.manifest.format, options)

    def answer(self, pixels: Pixels, float_data: bytes | None, reporter: Reporter) -> Answer:
        """As the protocol says."""
        artifact, runner = self._artifact, self.runner
        scores = run(runner, pixels, "kernels", reporter)
        made = artifact.manifest.preprocessing.pixels(open_picture(artifact.path(artifact.manifest.golden.picture)))
        return Answer(
            f"{runner.runtime} {runner.version}", runner.kernels, scores, golden.check(artifact, runner), made
        )


@dataclass(frozen=True)
class Board:
    """The device at `address`, whose lines go to `tell` as they come."""

    address: Address
    folder: Path  # of the artifact
    options: RunOptions
    tell: Callable[[str], None]
    setup: bool = False

    @property
    def name(self) -> str | None:
        """The device, as the user wrote it."""
        return self.address.text

    def answer(self, pixels: Pixels, float_data: bytes | None, reporter: Reporter) -> Answer:
        """As the protocol says.

        Raises:
            DeviceError: The board cannot be used.
            FailedThereError: The command failed there.
        """
        with tempfile.TemporaryDirectory(prefix="edge-squeeze-") as folder:
            question = Path(folder) / "question.npz"
            arrays: dict[str, Any] = {PIXELS: pixels}
            arrays |= {} if float_data is None else {FLOATS: np.frombuffer(float_data, np.uint8)}
            np.savez(question, **arrays)
            words = ["--threads", str(self.options.threads)]
            words += [] if self.options.runtime is None else ["--runtime", self.options.runtime]
            job = Job(["debug", *words, "--answer", question, "--", self.folder], [self.folder], self.options.runtime)
            outcome = session.run_alone(self.address, job, self.tell, setup=self.setup)
        try:
            return unpack(json.loads(outcome.output), len(pixels))
        except (ValueError, KeyError, TypeError, UsageError) as error:
            raise DeviceError(f"{self.name}: its answer cannot be read: {error}. Try again.") from error


def serve(folder: Path, question: Path, options: RunOptions, reporter: Reporter) -> dict[str, Any]:
    """What this board answers to the `question` of a desk, a file, about the artifact in `folder`: content of JSON."""
    artifact = artifacts.load(folder)
    data = artifact.model()
    with np.load(question, allow_pickle=False) as arrays:
        pixels, float_data = arrays[PIXELS], arrays[FLOATS].tobytes() if FLOATS in arrays else None
    answer = Here(artifact, data, options).answer(pixels, None, reporter)
    if float_data is not None and not host.emulated():  # whose times would take minutes and mean nothing
        with reporter.step("time of each operator"):
            answer = replace(answer, times=times([float_data, data], artifact.manifest.format, options))
    return pack(answer)


def pack(answer: Answer) -> dict[str, Any]:
    """The content of the JSON that a board sends."""
    arrays = {name: _packed(getattr(answer, name)) for name in ("scores", "made")}
    words = {name: getattr(answer, name) for name in ("runtime", "kernels", "times")}
    return {**words, **arrays, "golden": asdict(answer.golden)}


def unpack(content: Mapping[str, Any], count: int) -> Answer:
    """The answer on `count` pictures that `pack` made `content` of.

    KeyError, TypeError, ValueError or UsageError if it is another.
    """
    scores = _unpacked(content["scores"], np.dtype("<f4"))
    if scores.ndim != 2 or len(scores) != count:  # noqa: PLR2004 - pictures and classes
        raise ValueError(f"scores of shape {scores.shape} for {count} pictures")
    return Answer(
        str(content["runtime"]),
        str(content["kernels"]),
        scores,
        decode(GoldenCheck, content["golden"], "golden"),
        _unpacked(content["made"], np.dtype("u1")),
        decode(list[dict[str, float]] | None, content["times"], "times"),
    )


def _packed(array: Scores | Pixels) -> dict[str, Any]:
    plain = array.astype(array.dtype.newbyteorder("<"))
    return {"shape": list(array.shape), "data": base64.b64encode(plain.tobytes()).decode()}


def _unpacked(content: Mapping[str, Any], kind: np.dtype[Any]) -> Any:
    return np.frombuffer(base64.b64decode(content["data"]), kind).reshape(content["shape"])


def run(runner: Runner, pixels: Pixels, title: str, reporter: Reporter) -> Scores:
    """What a file gives for `pixels` [N,H,W,3]."""
    starts = reporter.track(range(0, len(pixels), CHUNK), title)
    return np.concatenate([runner.run(pixels[i : i + CHUNK]) for i in starts])


def times(files: Sequence[bytes], kind: str, options: RunOptions) -> list[Times] | None:
    """What the layers of each of `files` take on this machine; None if its engine runs them whole, but not in parts."""
    try:
        measured = [operator_times.measure(data, kind, options.runtime, options.threads) for data in files]
    except ConversionError:
        return None
    return [operator_times.by_layer(each) for each in measured]
