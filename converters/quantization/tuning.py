"""Tuning: biases, ranges and weights of an int8 network are trained to the scores of the original.

Rounding has no gradient; the one of the number that was rounded stands for it (Bengio et al., Estimating or Propagating
Gradients Through Stochastic Neurons, arXiv:1308.3432), and ranges learn by it, too (Esser et al., Learned Step Size
Quantization, arXiv:1902.08153). The loss is the divergence of softened scores (Hinton et al., Distilling the Knowledge
in a Neural Network, arXiv:1503.02531) and a little of the squared error of logits. Labels are not needed.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from edge_squeeze.converters.quantization.network import DENSE, DEPTHWISE, Floats, Grid, Network, Step, Weights
from edge_squeeze.converters.quantization.ranges import STEPS, Range
from edge_squeeze.converters.quantization.rounding import LARGEST
from edge_squeeze.pictures.preprocessing import Pixels
from edge_squeeze.reporting import Reporter

ROUNDS = 300  # of training
CROPS = 16  # in each
PART = 4  # crops whose gradients are computed at once, for memory
DETAIL = 1.5  # times the network's size that pictures have before they are cropped
SMALLEST_CROP = 0.25  # of the area of a picture
ASPECTS = (3 / 4, 4 / 3)
TEMPERATURE = 2.0
SQUARES = 0.05  # weight of the squared error of logits
BIAS_RATE, RANGE_RATE, WEIGHT_RATE = 1e-3, 1.5e-3, 2e-3  # of Adam; of logarithms of ranges; of steps of the grid


@dataclass(frozen=True)
class Tuned:
    """What tuning made of a network."""

    weights: Weights
    ranges: dict[str, Range]


def crops(pictures: Sequence[Pixels], size: tuple[int, int], seed: int) -> Iterator[Floats]:
    """Endless batches [CROPS,H,W,3] of seeded crops of `pictures`, each [h,w,3]; half of them are mirrored."""
    rng = np.random.default_rng(seed)
    while True:
        yield np.stack([_crop(pictures[row], size, rng) for row in rng.integers(len(pictures), size=CROPS)])


def _crop(picture: Pixels, size: tuple[int, int], rng: np.random.Generator) -> Floats:
    height, width = picture.shape[:2]
    area = height * width * rng.uniform(SMALLEST_CROP, 1)
    aspect = np.exp(rng.uniform(*np.log(ASPECTS)))
    wide, high = min(width, np.sqrt(area * aspect)), min(height, np.sqrt(area / aspect))
    left, top = rng.uniform(0, width - wide), rng.uniform(0, height - high)
    box = (left, top, left + wide, top + high)
    crop = Image.fromarray(picture).resize(size[::-1], Image.Resampling.BILINEAR, box=box)
    return np.asarray(crop, np.float32)[:, :: -1 if rng.integers(2) else 1]


class Simulation:
    """The integer network as TensorFlow computes it in floats, its weights, biases and ranges being variables."""

    def __init__(
        self, network: Network, weights: Weights, limits: Mapping[str, Range], groups: Iterable[Sequence[str]]
    ) -> None:
        """Start from these rounded weights and ranges; the layers of each of `groups` share a range."""
        import tensorflow as tf

        self._network, head = network, network.head
        self._shares = {name: members[0] for members in groups for name in members}
        self._grids = {name: Grid.of(limits[name]) for name in limits if name not in head}
        self._limits = {name: limits[name] for name in self._grids}
        made = {step.name for step in network.steps}
        shared = dict.fromkeys(self._share(name) for name in self._grids if name in made)
        self.stretch = {name: tf.Variable(0.0) for name in shared}  # logarithm of a range by the one it had
        self._steps = {name: _steps(network.weighted[name], kernel) for name, (kernel, *_) in weights.items()}
        self.codes = {name: tf.Variable(kernel / self._steps[name]) for name, (kernel, *_) in weights.items()}
        self.free = {name: _free(kernel, network.weighted[name]) for name, (kernel, *_) in weights.items()}
        self.biases = {name: tf.Variable(bias[0]) for name, (_, *bias) in weights.items() if bias}

    def _share(self, name: str) -> str:
        return self._shares.get(name, name)

    def logits(self, pixels: Any, *, quantized: bool) -> Any:
        """The scores before a softmax at the end, if there is one, of the integer network or the original."""
        values = {self._network.input: pixels}
        *steps, last = self._network.steps
        for step in steps:
            values[step.output] = self._integer(step, values) if quantized else step.call(values)
        if last.kind == "Softmax" or (last.kind == "Activation" and last.layer.activation.__name__ == "softmax"):
            return values[last.inputs[0]]
        if last.name in self.codes and last.layer.activation.__name__ == "softmax":
            return self._weighted(last, values, quantized=quantized)
        return self._integer(last, values) if quantized else last.call(values)

    def _weighted(self, step: Step, values: Mapping[int, Any], *, quantized: bool) -> Any:
        """What a layer with a kernel makes of its input, before its activation."""
        import tensorflow as tf

        name, layer = step.name, step.layer
        if not quantized:
            made = product(step, values[step.inputs[0]], layer.kernel)
            return made + layer.bias if layer.use_bias else made
        codes = tf.clip_by_value(_rounded(self.codes[name]), -float(LARGEST), float(LARGEST))
        made = product(step, values[step.inputs[0]], codes * self._steps[name])
        return made + self.biases[name] if name in self.biases else made

    def _integer(self, step: Step, values: Mapping[int, Any]) -> Any:
        import tensorflow as tf

        name = step.name
        if name in self.codes:
            made = step.layer.activation(self._weighted(step, values, quantized=True))
        else:
            made = step.call(values)
        if name not in self._grids:
            return made
        grid = self._grids[name]
        width = grid.step * tf.exp(self.stretch[self._share(name)])
        return (_rounded(tf.clip_by_value(made / width + grid.zero, 0.0, float(STEPS))) - grid.zero) * width

    def tuned(self) -> Tuned:
        """The weights, on their grid, and ranges as they are now."""
        weights = {}
        for name, codes in self.codes.items():
            kernel = np.clip(np.rint(codes.numpy()), -LARGEST, LARGEST) * self._steps[name]
            bias = [self.biases[name].numpy()] if name in self.biases else []
            weights[name] = [kernel.astype(np.float32), *bias]
        factors = {name: float(np.exp(value.numpy())) for name, value in self.stretch.items()}
        ranges = {
            name: (low * factors[self._share(name)], high * factors[self._share(name)])
            for name, (low, high) in self._limits.items()
            if self._share(name) in factors
        }
        return Tuned(weights, ranges)


def _steps(step: Step, kernel: Floats) -> Floats:
    """The step of the grid that `kernel` is on, for each output channel."""
    axes = tuple(range(kernel.ndim - (2 if step.kind == DEPTHWISE else 1)))
    largest = np.abs(kernel).max(axis=axes, keepdims=True)
    return np.where(largest > 0, largest / LARGEST, 1.0).astype(np.float32)


def _free(kernel: Floats, step: Step) -> Floats:
    """1 for weights that may move, 0 for the largest of each channel, which holds the grid."""
    return (np.abs(kernel) < _steps(step, kernel) * (LARGEST - 0.5)).astype(np.float32)


def _rounded(values: Any) -> Any:
    import tensorflow as tf

    return values + tf.stop_gradient(tf.round(values) - values)


def product(step: Step, values: Any, kernel: Any) -> Any:
    """What the layer of `step` makes of `values` with another kernel, before its bias."""
    import keras

    layer = step.layer
    if step.kind == DENSE:
        return keras.ops.matmul(values, kernel)
    convolve = keras.ops.depthwise_conv if step.kind == DEPTHWISE else keras.ops.conv
    return convolve(values, kernel, strides=layer.strides, padding=layer.padding, dilation_rate=layer.dilation_rate)


def tune(simulation: Simulation, batches: Iterator[Floats], reporter: Reporter) -> Tuned:
    """What ROUNDS of training on `batches` make of the weights and ranges of `simulation`."""
    import keras
    import tensorflow as tf

    names, free = simulation.codes.keys(), simulation.free
    trained = [
        (BIAS_RATE, [*simulation.biases.values()]),
        (RANGE_RATE, [*simulation.stretch.values()]),
        (WEIGHT_RATE, [*simulation.codes.values()]),
    ]
    variables = [variable for _, own in trained for variable in own]
    masks = [1.0] * (len(variables) - len(names)) + [free[name] for name in names]
    optimizers = []
    for rate, own in trained:
        optimizers.append(keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(rate, ROUNDS)))
        optimizers[-1].build(own)

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def gradients(pixels: Any) -> Any:
        original = tf.stop_gradient(simulation.logits(pixels, quantized=False))
        with tf.GradientTape() as tape:
            loss = _loss(original, simulation.logits(pixels, quantized=True)) / CROPS
        return tape.gradient(loss, variables, unconnected_gradients="zero")

    for _ in reporter.track(range(ROUNDS), "tuning to the original's scores"):
        batch = next(batches)
        parts = [gradients(batch[i : i + PART]) for i in range(0, len(batch), PART)]
        sums = (sum(each) * mask for mask, *each in zip(masks, *parts, strict=True))
        steps = iter(zip(sums, variables, strict=True))
        for optimizer, (_, own) in zip(optimizers, trained, strict=True):
            optimizer.apply_gradients([*itertools.islice(steps, len(own))])
    return simulation.tuned()


def _loss(original: Any, integer: Any) -> Any:
    """The sum over pictures."""
    import tensorflow as tf

    wanted, got = (tf.nn.log_softmax(logits / TEMPERATURE) for logits in (original, integer))
    divergence = tf.reduce_sum(tf.exp(wanted) * (wanted - got))
    return TEMPERATURE**2 * divergence + SQUARES * tf.reduce_sum(tf.reduce_mean((original - integer) ** 2, axis=-1))
