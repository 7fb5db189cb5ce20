"""Second-order rounding: each layer's weights are rounded so that its output, not each weight, changes least.

Layer by layer, the inputs being those of the integer file so far: weights are fitted to the float output by least
squares, rounded one input at a time with the error of each fed into the weights not yet rounded (Hassibi and Stork,
Optimal Brain Surgeon, NIPS 1992; Frantar and Alistarh, Optimal Brain Compression, arXiv:2208.11580; Frantar et al.,
GPTQ, arXiv:2210.17323), then improved one at a time until nothing gains. They stay on the grid that every converter
takes for them, the largest weight of a channel being 127 steps, so files and kernels are those of nearest rounding.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_squeeze.converters.quantization.network import (
    CONVOLUTION,
    DENSE,
    DEPTHWISE,
    Floats,
    Grid,
    Half,
    Network,
    Step,
    Tensors,
    Weights,
)
from edge_squeeze.converters.quantization.ranges import Range
from edge_squeeze.pictures.preprocessing import Pixels
from edge_squeeze.reporting import Reporter

LARGEST = 127  # code of the largest weight of a channel
PLACES = 300  # of each picture at which a layer's inputs are sampled
DAMPING = 0.01  # of the mean variance of an input, added to each: inputs that hardly vary cannot be solved for
MOST_INPUTS = 4608  # of an output, 3 x 3 x 512: beyond, the moments of all pairs would fill gigabytes
SWEEPS = 10  # at most, over all weights, to improve what was rounded
Matrix = NDArray[np.float64]
Places = NDArray[np.intp]  # [N,P]


@dataclass(frozen=True)
class Gain:
    """What second-order rounding did for one layer."""

    layer: str
    nearest: float  # squared error of the output with nearest rounding, as a share of its variance
    rounded: float


@dataclass
class Moments:
    """Sums over samples of a layer's inputs, in the float network (f) and the integer one (q): one set for each group.

    Arrays are [groups,inputs] and [groups,inputs,inputs]; a depthwise convolution has a group for each channel.
    """

    count: float  # samples of each group
    mean_f: Matrix
    mean_q: Matrix
    squares_f: Matrix
    squares_q: Matrix
    products: Matrix  # f by q

    @classmethod
    def of(cls, f: NDArray[Any], q: NDArray[Any]) -> Moments:
        """Of samples [groups,samples,inputs]."""
        turned = f.transpose(0, 2, 1)
        parts = f.sum(1), q.sum(1), turned @ f, q.transpose(0, 2, 1) @ q, turned @ q
        return cls(f.shape[1], *(part.astype(np.float64) for part in parts))

    def __add__(self, other: Moments) -> Moments:
        return Moments(*(a + b for a, b in zip(vars(self).values(), vars(other).values(), strict=True)))

    def central(self) -> Moments:
        """Means, and the covariances about them."""
        n = self.count
        f, q = self.mean_f / n, self.mean_q / n

        def about(products: Matrix, left: Matrix, right: Matrix) -> Matrix:
            return products / n - left[:, :, None] * right[:, None, :]

        return Moments(n, f, q, about(self.squares_f, f, f), about(self.squares_q, q, q), about(self.products, f, q))


def round_weights(
    model: Any, pixels: Pixels, limits: Mapping[str, Range], reporter: Reporter, seed: int = 0
) -> tuple[Weights, list[Gain]]:
    """The rounded weights of each layer with a kernel, and what that gained.

    Layers whose outputs have more than MOST_INPUTS inputs are rounded to nearest.

    Args:
        model: A flat Keras model that takes raw pixels.
        pixels: Pictures [N,H,W,3] uint8 to fit the weights to.
        limits: The range of each layer whose output the integer file holds in 8 bits.
        reporter: Shows the progress.
        seed: Of the places in the pictures that are sampled.
    """
    network, rng = Network(model), np.random.default_rng(seed)
    head = network.head
    grids = {name: Grid.of(limits[name]) for name in limits if name not in head}
    halves = {name: Half.of(limits[name]) for name in grids}
    f, q = Tensors(network, pixels, halves), Tensors(network, pixels, grids)
    weights: Weights = {}
    gains = []
    for index, step in enumerate(reporter.track(network.steps, "rounding of weights")):
        if step.name in head:
            break
        if step.name not in network.weighted:
            f.advance(index, step.call)
            q.advance(index, step.call)
            continue
        if is_wide(step):
            weights[step.name] = _nearest_weights(step)
        else:
            weights[step.name], gain = _round(step, _moments(step, f, q, rng))
            gains.append(gain)
        rounded = _with(step, weights[step.name])
        f.advance(index, step.call)
        q.advance(index, rounded)
    return weights, gains


def is_wide(step: Step) -> bool:
    """Whether the layer of `step` has too many inputs to be rounded as a whole."""
    return step.kind != DEPTHWISE and math.prod(step.layer.kernel.shape[:-1]) > MOST_INPUTS


def _nearest_weights(step: Step) -> list[Floats]:
    kernel, *bias = (np.asarray(weights) for weights in step.layer.get_weights())
    rows = rows_of(step, kernel)
    steps = grid_steps(rows)
    return [kernel_of(step, np.rint(rows / steps) * steps).astype(np.float32), *bias]


def _with(step: Step, weights: list[Floats]) -> Any:
    """The call of `step` with these weights, which its layer has no longer than the call lasts."""

    def call(values: Mapping[int, Floats]) -> Any:
        own = step.layer.get_weights()
        step.layer.set_weights(weights)
        try:
            return step.call(values)
        finally:
            step.layer.set_weights(own)

    return call


def _moments(step: Step, f: Tensors, q: Tensors, rng: np.random.Generator) -> Moments:
    """Of the inputs of `step`, at some places of each picture; without a bias nothing can make up for means."""
    total = None
    (name,) = step.inputs
    for floats, quantized in zip(f.batches(step), q.batches(step), strict=True):
        samples = _samples(step, floats[name], quantized[name], rng)
        moments = Moments.of(*samples)
        total = moments if total is None else total + moments
    assert total is not None
    if step.layer.use_bias:
        return total.central()
    none, n = np.zeros_like(total.mean_f), total.count
    return Moments(n, none, none, total.squares_f / n, total.squares_q / n, total.products / n)


def _samples(step: Step, f: Floats, q: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """What the kernel of `step` is multiplied with, at the same places of both: [groups,samples,inputs] each."""
    layer = step.layer
    if step.kind == DENSE:
        rows = [each.reshape(1, -1, each.shape[-1]) for each in (f, q)]
        return rows[0], rows[1]
    height, width = layer.compute_output_shape(f.shape)[1:3]
    places = np.arange(height * width)[None].repeat(len(f), 0)
    if height * width > PLACES:
        places = np.stack([rng.choice(height * width, PLACES, replace=False) for _ in f])
    windows = [_windows(layer, each, np.divmod(places, width), (height, width)) for each in (f, q)]
    if step.kind == DEPTHWISE:
        inputs = math.prod(layer.kernel_size)
        windows = [each.reshape(-1, inputs, f.shape[-1]).transpose(2, 0, 1) for each in windows]
    else:
        windows = [each.reshape(1, -1, each[0, 0].size) for each in windows]
    return windows[0], windows[1]


def _windows(layer: Any, values: Floats, places: tuple[Places, Places], size: tuple[int, int]) -> Floats:
    """What the kernel of a convolution covers at `places` (rows, columns) of its output: [N,P,height,width,C]."""
    indices, pads = [], []
    for axis, (place, kernel, stride, dilation, made) in enumerate(
        zip(places, layer.kernel_size, layer.strides, layer.dilation_rate, size, strict=True)
    ):
        indices.append(place[..., None] * stride + np.arange(kernel) * dilation)
        missing = max(0, (made - 1) * stride + (kernel - 1) * dilation + 1 - values.shape[1 + axis])
        pads.append((missing // 2, missing - missing // 2) if layer.padding == "same" else (0, 0))
    padded = np.pad(values, ((0, 0), *pads, (0, 0)))
    rows, columns = indices
    windows: Floats = padded[np.arange(len(values))[:, None, None, None], rows[..., None], columns[:, :, None, :]]
    return windows


def rows_of(step: Step, kernel: NDArray[Any]) -> Matrix:
    """A kernel of the layer of `step` as [groups,outputs,inputs]."""
    wide = kernel.astype(np.float64)
    if step.kind == DEPTHWISE:
        return wide.reshape(-1, *wide.shape[2:]).transpose(1, 2, 0)
    return wide.reshape(-1, wide.shape[-1]).T[None]


def kernel_of(step: Step, rows: Matrix) -> Matrix:
    """The reverse of `rows_of`."""
    turned = rows.transpose(2, 0, 1) if step.kind == DEPTHWISE else rows[0].T
    return turned.reshape(step.layer.kernel.shape)


def _round(step: Step, moments: Moments) -> tuple[list[Floats], Gain]:
    """The rounded weights of the layer of `step`."""
    rows = rows_of(step, np.asarray(step.layer.kernel))
    groups = zip(rows, moments.squares_q, moments.products, strict=True)
    rounded = np.stack([_round_group(*group, moments.count, step.kind) for group in groups])
    weights = [kernel_of(step, rounded).astype(np.float32)]
    shift = np.einsum("goi,gi->go", rows, moments.mean_f) - np.einsum("goi,gi->go", rounded, moments.mean_q)
    if step.layer.use_bias:
        weights.append((np.asarray(step.layer.bias, np.float64) + shift.ravel()).astype(np.float32))
    steps = grid_steps(rows)
    nearest = np.rint(rows / steps) * steps
    moved = np.einsum("goi,gi->go", rows, moments.mean_f) - np.einsum("goi,gi->go", nearest, moments.mean_q)
    variance = np.einsum("goi,gij,goj->", rows, moments.squares_f, rows, optimize=True) or 1.0
    errors = _error(rows, nearest, moments) + float((moved**2).sum()), _error(rows, rounded, moments)
    return weights, Gain(step.name, *(float(error / variance) for error in errors))


def _error(rows: Matrix, rounded: Matrix, moments: Moments) -> float:
    """The squared error of the outputs about their means."""
    own = np.einsum("goi,gij,goj->", rows, moments.squares_f, rows, optimize=True)
    cross = np.einsum("goi,gij,goj->", rows, moments.products, rounded, optimize=True)
    return float(own - 2 * cross + np.einsum("goi,gij,goj->", rounded, moments.squares_q, rounded, optimize=True))


def round_rows(rows: Matrix, samples: Matrix, largest: int, *, has_bias: bool) -> tuple[Matrix, Matrix]:
    """A kernel [outputs,inputs] on a grid of `largest` steps each way, and what to add to its bias.

    Args:
        rows: The kernel.
        samples: Of its inputs, the same in float and integers [samples,inputs].
        largest: Code of the largest weight of a channel.
        has_bias: Whether a bias can make up for the means.
    """
    moments = Moments.of(samples[None], samples[None])
    if has_bias:
        moments = moments.central()
    squares = moments.squares_q[0]
    rounded = _round_group(rows.astype(np.float64), squares, squares, moments.count, CONVOLUTION, largest)
    return rounded, (rows - rounded) @ samples.mean(0)


def grid_steps(rows: Matrix, largest: int = LARGEST) -> Matrix:
    """The step of the grid that integer files have for each output of kernels [groups,outputs,inputs]."""
    most = np.abs(rows).max(axis=-1, keepdims=True)
    steps: Matrix = (np.where(most > 0, most, 1.0) / largest).astype(np.float32).astype(np.float64)
    return steps


def _round_group(
    rows: Matrix, squares: Matrix, products: Matrix, count: float, kind: str, largest: int = LARGEST
) -> Matrix:
    """`rows` [outputs,inputs] on their grid, of least squared error of the outputs for inputs of these moments."""
    share = max(DAMPING, len(squares) / count)  # of few samples, covariances are partly chance
    damping = share * float(np.mean(np.diag(squares))) or 1.0  # where inputs never vary, nearest rounding is best
    damped = squares + np.eye(len(squares)) * damping
    inverse = np.linalg.inv(damped)
    fitted = rows + rows @ (products - squares) @ inverse
    steps = grid_steps(fitted, largest)
    most = np.abs(fitted).max(axis=1, keepdims=True)
    # The largest of a channel keeps its code, so that the grid stays what it is.
    pinned = np.where((np.abs(fitted) == most) & (most > 0), np.sign(fitted) * largest, 0)
    # The order in which weights are rounded: inputs of large variance first. Depthwise kernels keep theirs.
    order = np.arange(len(squares)) if kind == DEPTHWISE else np.argsort(-np.diag(squares), kind="stable")
    factor = np.linalg.cholesky(inverse[np.ix_(order, order)]).T
    left, codes = fitted[:, order], np.zeros_like(fitted)
    for place, column in enumerate(order):
        codes[:, column] = _nearest(left[:, place] / steps[:, 0], pinned[:, column], largest)
        error = (left[:, place] - codes[:, column] * steps[:, 0]) / factor[place, place]
        left[:, place + 1 :] -= error[:, None] * factor[place, place + 1 :]
    rounded: Matrix = _improve(codes, fitted, steps, pinned, damped) * steps
    return rounded


def _nearest(values: Matrix, pinned: Matrix, largest: int) -> Matrix:
    """The codes of one input's weights, given in steps; those of `pinned` where that is not 0."""
    return np.where(pinned != 0, pinned, np.clip(np.rint(values), -largest, largest))


def _improve(codes: Matrix, fitted: Matrix, steps: Matrix, pinned: Matrix, squares: Matrix) -> Matrix:
    """`codes` with one input's weights at a time moved to where the error is smallest, the others being as they are."""
    residual = (codes * steps - fitted) @ squares
    largest = int(np.abs(pinned).max())
    for _ in range(SWEEPS):
        before = codes.copy()
        for column in range(codes.shape[1]):
            best = codes[:, column] - residual[:, column] / squares[column, column] / steps[:, 0]
            moved = _nearest(best, pinned[:, column], largest) - codes[:, column]
            if moved.any():
                codes[:, column] += moved
                residual += (moved * steps[:, 0])[:, None] * squares[column]
        if (codes == before).all():
            break
    return codes
