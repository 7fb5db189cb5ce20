"""The rewrites that an export may leave out, and the rule by which it takes them where none is named.

`measured.json` holds what each saves of a target's latency, as `make rewrites` measured it; `auto` takes those that
save something there. What else is rewritten makes files that more runtimes read, and is not optional.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_squeeze.converters.rewrites import batch_norm, keras_graph, onnx_head
from edge_squeeze.converters.rewrites.linear_head import average_before_convolution
from edge_squeeze.converters.rewrites.pixel_conversion import convert_pixels_by_float
from edge_squeeze.converters.rewrites.pixel_pairs import pair_pixels
from edge_squeeze.converters.rewrites.pixel_windows import take_windows
from edge_squeeze.converters.rewrites.pool_order import pool_before_concatenation
from edge_squeeze.engines.runner import open_runner
from edge_squeeze.errors import ConversionError, UsageError, unknown
from edge_squeeze.files.reading import decode, read_json
from edge_squeeze.pictures.loading import photograph_crops
from edge_squeeze.scores import Scores

AUTO, NONE = "auto", "none"
FOLD_BATCH_NORM, PIXELS_BY_FLOAT = "fold-batch-norm", "pixels-by-float"
EVERY = "all"  # of them together, in measured.json
PAYS = 0.99  # of the latency without: a saving of less than a hundredth is not told from noise
CLOSE = 1e-5  # of the largest score: what sums in another order may differ by
MEASURED = Path(__file__).with_name("measured.json")
AVERAGE_FIRST = "average-before-conv"
LINEAR_HEAD = "a last 1x1 convolution in float without an activation, which a global average alone reads"
Step = Callable[[Any], tuple[Any, bool]]


@dataclass(frozen=True)
class Rewrite:
    """A rewrite of the operators of a kind of file."""

    name: str
    step: Step
    requirement: str  # of the network, in words that follow "needs"
    kind: str = "tflite"

    def fits(self, target: str) -> bool:
        """Whether it is one for files of `target`."""
        return target.partition(" ")[0] == self.kind


REWRITES = (
    Rewrite(
        "pixel-windows",
        take_windows,
        "a first convolution in int8 of at most four channels, with a stride and a kernel so wide that this saves "
        "products, on pictures of one size",
    ),
    Rewrite(
        "pixel-pairs",
        pair_pixels,
        "a first convolution in int8 of at most four channels, with a stride of 2, on pictures of one size, that does "
        "not take windows",
    ),
    Rewrite(PIXELS_BY_FLOAT, convert_pixels_by_float, "uint8 pixels that become int8"),
    Rewrite(
        "pool-before-concat", pool_before_concatenation, "a max pooling that alone reads a concatenation of channels"
    ),
    Rewrite(AVERAGE_FIRST, average_before_convolution, LINEAR_HEAD),
    Rewrite(AVERAGE_FIRST, onnx_head.average_before_convolution, LINEAR_HEAD, onnx_head.KIND),
)
NAMES = (FOLD_BATCH_NORM, *dict.fromkeys(rewrite.name for rewrite in REWRITES))


@dataclass(frozen=True, kw_only=True)
class Saving:
    """The latency of a file with one rewrite as a part of that of the file without, on one core."""

    target: str  # format and precision
    rewrite: str
    network: str
    ratio: float
    interval: tuple[float, float]  # 95 %


@dataclass(frozen=True, kw_only=True)
class Measurements:
    """The content of measured.json."""

    device: str
    date: str
    versions: dict[str, str]
    savings: list[Saving]


@functools.cache
def measurements() -> Measurements:
    """What `make rewrites` measured."""
    content = decode(Measurements, read_json(MEASURED), str(MEASURED))
    assert isinstance(content, Measurements)
    return content


def parse(text: str) -> tuple[str, ...]:
    """The names in `text`, with commas between them; UsageError for those that do not exist."""
    parts = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    for name in parts or ("",):
        if name not in (AUTO, NONE, *NAMES):
            raise unknown("rewrite", name, (AUTO, NONE, *NAMES))
    if len(parts) > 1 and (mixed := {AUTO, NONE} & {*parts}):
        raise UsageError(f"--rewrites {mixed.pop()} goes with no other name, got {text}.")
    return parts


def wants(text: str, name: str) -> bool:
    """Whether the option `text` asks for the rewrite `name` of Keras layers, which costs no target anything."""
    return {AUTO, name} & {*parse(text)} != set()


def ratio(target: str, rewrite: str) -> float | None:
    """The mean ratio of latencies with and without a rewrite over the networks that were measured; None without any."""
    ratios = [each.ratio for each in measurements().savings if (each.target, each.rewrite) == (target, rewrite)]
    return float(np.exp(np.mean(np.log(ratios)))) if ratios else None


def chosen(text: str, target: str) -> list[Rewrite]:
    """The rewrites of operators that the option `text` stands for in files of `target`, as "tflite int8"."""
    named = parse(text)
    pays = {rewrite.name: ratio(target, rewrite.name) for rewrite in REWRITES}
    if named == (AUTO,):
        named = tuple(name for name, saved in pays.items() if saved is not None and saved <= PAYS)
    return [rewrite for rewrite in REWRITES if rewrite.name in named and rewrite.fits(target)]


def names(text: str, target: str) -> list[str]:
    """The names of those that `chosen` gives."""
    return [rewrite.name for rewrite in chosen(text, target)]


def refusals(text: str, target: str, done: Sequence[str]) -> dict[str, str]:
    """Why the optional rewrites that are not `done` were not applied to a file of `target`: name -> reason."""
    asked, fitting = names(text, target), {rewrite.name for rewrite in REWRITES if rewrite.fits(target)}
    reasons = {}
    for rewrite in REWRITES:
        saved = ratio(target, rewrite.name)
        if rewrite.name in done or parse(text) == (NONE,) or rewrite.fits(target) != (rewrite.name in fitting):
            continue
        if rewrite.name in parse(text) and not rewrite.fits(target):
            reasons[rewrite.name] = f"is for {rewrite.kind} files"
        elif rewrite.name in asked:
            reasons[rewrite.name] = f"needs {rewrite.requirement}"
        elif parse(text) == (AUTO,) and rewrite.fits(target):
            measured = "was not measured" if saved is None else f"saves nothing: {saved:.2f} times the latency"
            reasons[rewrite.name] = f"{measured} in {target} files"
    return reasons


def fold_layers(model: Any) -> tuple[Any, list[str]]:
    """The Keras `model` with its scaling layers folded into others, and the names of the rewrites that changed it."""
    flat, _ = keras_graph.flatten(model)
    folded, changed = batch_norm.fold(flat)
    return (folded, [FOLD_BATCH_NORM]) if changed else (model, [])


def apply(model: Any, rewrites: Sequence[Rewrite]) -> tuple[Any, list[str]]:
    """What a file is read as after `rewrites`, and the names of those that changed it."""
    done = []
    for rewrite in rewrites:
        model, changed = rewrite.step(model)
        done += [rewrite.name] * changed
    return model, done


def faster(
    data: bytes,
    rewrites: Sequence[Rewrite],
    size: tuple[int | None, int | None],
    unpack: Callable[[bytes], Any],
    pack: Callable[[Any], bytes],
) -> tuple[bytes, list[str]]:
    """The file `data` after `rewrites`, and the names of those that changed it.

    It stays as it is where a side of its pictures is open.

    Args:
        data: A model file of the rewrites' kind.
        rewrites: Those to apply, in order.
        size: Height and width of its pictures.
        unpack: Reads such a file as the rewrites take it.
        pack: The reverse.

    Raises:
        ConversionError: if photographs then have other scores.
    """
    if not rewrites or None in size:
        return data, []
    rewritten, done = apply(unpack(data), rewrites)
    if not done:
        return data, []
    packed, pixels = pack(rewritten), photograph_crops(1, (size[0] or 0, size[1] or 0), seed=0).pixels
    before, after = (open_runner(each, rewrites[0].kind).run(pixels) for each in (data, packed))
    require_same(before, after, done)
    return packed, done


def require_same(before: Scores, after: Scores, done: Sequence[str]) -> None:
    """Raise ConversionError if the scores of pictures before and after the rewrites `done` differ."""
    difference, largest = float(np.abs(after - before).max()), float(np.abs(before).max())
    if not difference <= CLOSE * largest:
        raise ConversionError(
            f"The rewrites {', '.join(done)} must not change scores by more than {CLOSE * largest:.1e}, but changed "
            f"them by {difference:.1e}. This is a bug. Export with --rewrites none, and report it."
        )
