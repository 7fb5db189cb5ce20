"""Mixed files: integers but for a few layers in float, those that are named or those that pay best.

A kept layer computes in float and gives floats, so the layers that read it compute in float, too: rounding what a layer
gives often costs more than rounding its weights. Which layers pay is tried with real files: one for each layer,
the best is kept, then one for each of the others.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_squeeze.converters.formats.to_tflite import FloatFile
from edge_squeeze.converters.options import FileOptions, Ranges, kept_layers
from edge_squeeze.converters.quantization import calibration
from edge_squeeze.converters.quantization.network import Network, flat
from edge_squeeze.converters.rewrites.keras_graph import UncopyableError
from edge_squeeze.engines.runner import Runner, open_runner
from edge_squeeze.errors import UsageError, unknown
from edge_squeeze.inspection.operator_times import by_layer, measure
from edge_squeeze.pictures.preprocessing import Pixels
from edge_squeeze.proof.accuracy import Interval, Pairs
from edge_squeeze.proof.parity import kl_divergence
from edge_squeeze.reporting import Reporter
from edge_squeeze.scores import Scores

VIEWS = 2  # of each picture that files are compared on: the whole and a crop
MOST_VIEWS = 200  # in all
MOST_TRIED = 12  # layers after the first choice: those that gained most then
# Of the latency of the whole file, added to what a layer costs: a layer that costs nothing but gains next to nothing
# does not pay.
OVERHEAD = 0.1
FORMAT = "tflite"  # that is quantized fastest
ROUNDS = 40  # of runs of all files in turn
WORTH = 0.15  # share of the divergence that layers in float must take off, unless agreement rises
NOT_PAID = (
    "layers in float do not pay here: KL falls by less than 15 %, and agreement may not rise; leave --keep-float out"
)


@dataclass(frozen=True)
class Point:
    """A file on the way from integers to floats."""

    kept: list[str]  # the layers that were asked for, or chosen
    kl: float  # mean divergence from the original in nats
    agreement: float
    gain_interval: Interval  # 95 %, of the agreement less that of integers alone
    latency_us: float  # the shortest of ROUNDS runs of one picture, in turn with the other files
    size_bytes: int
    format: str = FORMAT  # of the files that were measured; one of another format has the same layers in float

    def __str__(self) -> str:
        low, high = (100 * bound for bound in self.gain_interval)
        gain = f" ({low:+.1f} to {high:+.1f} points)" if self.kept else ""
        names = ", ".join(self.kept) or "all in integers"
        return (
            f"{len(self.kept)} in float: KL {self.kl:.4f}, agreement {self.agreement:.1%}{gain}, "
            f"{self.latency_us:,.0f} us, {self.size_bytes / 1e6:.2f} MB ({names})"
        )


@dataclass(frozen=True)
class Kept:
    """What stays in float."""

    layers: list[str]  # that were asked for, or chosen
    floats: tuple[str, ...]  # every layer that computes in float for them
    frontier: list[Point]  # from no layer to all of `layers`

    def notes(self) -> list[str]:
        """The frontier in lines of text, and whether it was worth while."""
        integers, mixed = self.frontier[0], self.frontier[-1]
        pays = mixed.gain_interval[0] > 0 or mixed.kl <= (1 - WORTH) * integers.kl
        title = f"on pictures of the calibration, as .{FORMAT} files:"
        return [title, *map(str, self.frontier), *([] if pays else [NOT_PAID])]


class Mixture:
    """A model whose integer file can be made with some of its layers in float."""

    def __init__(self, model: Any, ranges: Ranges, output: str) -> None:
        """`model` takes raw pixels; `ranges` are those of its layers, and its scores are `output`."""
        try:
            self.network = Network(flat(model))
        except UncopyableError as error:
            raise UsageError(
                f"--keep-float needs the layers of the model, which cannot be taken apart: {error}. Leave it out."
            ) from error
        self.file, self._ranges, self._output = FloatFile(model), ranges, output

    def floats(self, layers: Iterable[str]) -> tuple[str, ...]:
        """The layers that compute in float where `layers` are kept; UsageError for one that the model lacks."""
        known = [step.name for step in self.network.steps]
        for name in layers:
            if name not in known:
                raise unknown("layer", name, [*self.network.weighted])
        return tuple(dict.fromkeys(each for name in layers for each in self.network.kept(name)))

    def data(self, layers: Sequence[str]) -> bytes:
        """The .tflite file with `layers` kept in float."""
        return self.file.quantize(self._ranges, FileOptions(), self._output, self.floats(layers))

    def costs(self) -> tuple[dict[str, float], float]:
        """What each layer takes longer in float, and the latency of the integer file, in microseconds."""
        floats, integers = (by_layer(measure(data, FORMAT)) for data in (self.file.data, self.data([])))
        return {name: floats[name] - us for name, us in integers.items() if name in floats}, sum(integers.values())


def keep(text: str, mixture: Mixture, expected: Scores, pixels: Pixels, output: str, reporter: Reporter) -> Kept:
    """What stays in float by the option `text`, and how good and fast files are on the way there.

    Args:
        text: Names of layers, or "auto:K".
        mixture: The model.
        expected: The original's scores [N,classes] for the pictures, from 0 to 1.
        pixels: Pictures [N,H,W,3] that files are compared on.
        output: What the scores are.
        reporter: Shows the progress.
    """
    wanted = kept_layers(text)
    judge = _Judge(mixture, expected, pixels, output)
    layers = judge.best(wanted, reporter) if isinstance(wanted, int) else list(wanted)
    floats = mixture.floats(layers)
    frontier = judge.frontier(layers, reporter)
    return Kept(layers, floats, frontier)


class _Judge:
    """Compares files on pictures."""

    def __init__(self, mixture: Mixture, expected: Scores, pixels: Pixels, output: str) -> None:
        every = max(1, -(-len(pixels) // MOST_VIEWS))
        self._mixture, self._output = mixture, output
        self._expected, self._pixels = expected[::every], pixels[::every]

    def _scores(self, layers: Sequence[str]) -> Scores:
        return calibration.scores_of(self._mixture.data(layers), self._pixels, self._output)

    def _divergence(self, layers: Sequence[str]) -> float:
        return calibration.divergence(self._expected, self._scores(layers))

    def best(self, count: int, reporter: Reporter) -> list[str]:
        """So many layers, each of which gave back the most for what it costs when it was chosen."""
        mixture, kept = self._mixture, list[str]()
        costs, whole = mixture.costs()
        candidates = [*mixture.network.weighted]
        if count >= len(candidates):
            raise UsageError(f"--keep-float auto:{count} is too much. Required: less than {len(candidates)} layers.")
        for number in range(1, count + 1):
            before, present = self._divergence(kept), {*mixture.floats(kept)}
            gains = {
                name: before - self._divergence([*kept, name])
                for name in reporter.track(candidates, f"layer {number} to keep in float")
            }
            pays = {}
            for name, gain in gains.items():
                cost = sum(costs.get(each, 0.0) for each in {*mixture.floats([name])} - present)
                pays[name] = gain / (max(0.0, cost) + OVERHEAD * whole)
            kept.append(max(pays, key=lambda name: pays[name]))
            ordered = sorted(gains, key=lambda name: -gains[name])
            near = [name for name in mixture.floats([kept[-1]]) if name in mixture.network.weighted]
            candidates = [name for name in dict.fromkeys([*near, *ordered[:MOST_TRIED]]) if name not in kept]
        return kept

    def frontier(self, layers: Sequence[str], reporter: Reporter) -> list[Point]:
        """The files from no layer in float to all of `layers`, one more at a time."""
        steps = [list(layers[:count]) for count in range(len(layers) + 1)]
        files = [self._mixture.data(step) for step in reporter.track(steps, "files in between")]
        scores = [calibration.scores_of(data, self._pixels, self._output) for data in files]
        agrees = [self._agrees(each) for each in scores]
        latencies = _latencies([open_runner(data, FORMAT) for data in files], self._pixels[:1])
        return [
            Point(
                step,
                float(kl_divergence(self._expected.astype(np.float64), own.astype(np.float64)).mean()),
                float(right.mean()),
                Pairs.of(right, agrees[0]).difference_interval,
                latency,
                len(data),
            )
            for step, own, right, latency, data in zip(steps, scores, agrees, latencies, files, strict=True)
        ]

    def _agrees(self, scores: Scores) -> NDArray[np.bool_]:
        agrees: NDArray[np.bool_] = scores.argmax(axis=1) == self._expected.argmax(axis=1)
        return agrees


def _latencies(runners: Sequence[Runner], pixels: Pixels) -> list[float]:
    """The shortest of ROUNDS runs of each in microseconds, all of them in turn."""
    shortest = [np.inf] * len(runners)
    for _ in range(ROUNDS):
        for at, runner in enumerate(runners):
            start = time.perf_counter()
            runner.run(pixels)
            shortest[at] = min(shortest[at], time.perf_counter() - start)
    return [1e6 * each for each in shortest]
