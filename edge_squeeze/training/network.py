"""A pretrained network with a new head, and the places where its frozen part may end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge_squeeze.errors import UsageError
from edge_squeeze.models import original as originals, source
from edge_squeeze.models.source import Choice, Subject
from edge_squeeze.networks import builder
from edge_squeeze.networks.architecture import architecture
from edge_squeeze.networks.design import Architecture
from edge_squeeze.networks.variants import Fire, named
from edge_squeeze.pictures.preprocessing import Preprocessing
from edge_squeeze.process.output import captured
from edge_squeeze.reporting import Reporter
from edge_squeeze.training.fitting import FIRST_BIAS
from edge_squeeze.training.options import FinetuneOptions

HEAD_DEVIATION = 0.01  # of the head's first weights, as in the authors' Caffe files
MOST_BLOCKS = 4  # that may be trained: what comes before them is the same for all pictures there are
# Layers behind the last one with weights that a new head can do without, or brings itself.
PASSIVE = {"Activation", "Softmax", "Dropout", "GlobalAveragePooling2D", "Flatten", "Reshape", "ReLU"}


@dataclass(frozen=True)
class Network:
    """A Keras model [N,H,W,C] normalized -> scores [N,classes], pretrained but for its head."""

    name: str  # of its folder
    arch: Architecture | None  # None: a model of the user's
    subject: Subject  # what it was before
    model: Any
    cuts: tuple[Any, ...]  # its tensors in front of the head, and in front of the last 1, 2, ... blocks
    probabilities: bool  # what the scores are; else logits

    @property
    def preprocessing(self) -> Preprocessing:
        """How its pictures are prepared."""
        return self.subject.preprocessing

    def frozen(self, blocks: int) -> Any:
        """The Keras model up to the last `blocks` blocks: normalized pictures -> features."""
        import keras

        return keras.Model(self.model.inputs[0], self.cuts[blocks])

    def between(self, earlier: int, later: int) -> Any:
        """The Keras model of the blocks from the last `earlier` to the last `later`: features -> features."""
        import keras

        return keras.Model(self.cuts[earlier], self.cuts[later])

    def trainable(self, blocks: int) -> Any:
        """The Keras model of the last `blocks` blocks and the head: features -> scores; it shares their weights."""
        import keras

        tail = keras.Model(self.cuts[blocks], self.model.outputs[0])
        for layer in originals.all_layers(tail):
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.trainable = False  # few pictures would spoil its means
        return tail


def load(options: FinetuneOptions, labels: Sequence[str], reporter: Reporter) -> Network:
    """The pretrained network of `options` with a head for the classes `labels`; UsageError if it has no fit head."""
    subject = pretrained(options, reporter)
    originals.load_tensorflow()
    with captured():
        if subject.variant is None:
            return _own(subject, len(labels), options.seed)
        return _variant(subject, len(labels), options.seed)


def pretrained(options: FinetuneOptions, reporter: Reporter) -> Subject:
    """What is to be fine-tuned, as `export` would read it."""
    return source.find(
        Choice(
            options.model,
            weights=options.weights,
            input_size=options.input_size,
            preprocessing=options.preprocessing,
            resize=options.resize,
            filter=options.filter,
            custom_objects=options.custom_objects,
            trust_file=options.trust_file,
        ),
        reporter,
    )


def _variant(subject: Subject, classes: int, seed: int) -> Network:
    assert subject.variant
    before = subject.original().model
    arch = architecture(subject.variant, classes, subject.preprocessing.size)
    model = builder.build(arch)
    for layer in model.layers:
        if layer.weights and layer.name != arch.head:
            layer.set_weights(before.get_layer(layer.name).get_weights())
    _draw_head(model.get_layer(arch.head), seed, FIRST_BIAS if arch.row.head_relu else 0.0)
    dropout = f"drop{int(arch.head.removeprefix('conv')) - 1}"
    head = dropout if any(layer.name == dropout for layer in model.layers) else arch.head
    fires = [name for name, stage in named(arch.stages) if isinstance(stage, Fire)]
    last = [model.get_layer(f"{name}_squeeze1x1").input for name in reversed(fires)]
    cuts = (model.get_layer(head).input, *last[:MOST_BLOCKS])
    return Network(arch.variant, arch, subject, model, cuts, arch.row.softmax)


def _own(subject: Subject, classes: int, seed: int) -> Network:
    """The user's model whose last layer with weights gives place to one for `classes` classes, and a softmax."""
    import keras

    before = subject.original().model
    at = max(number for number, layer in enumerate(before.layers) if layer.weights)
    last, behind = before.layers[at], before.layers[at + 1 :]
    wrong = sorted({layer.__class__.__name__ for layer in behind} - PASSIVE)
    if not isinstance(last, keras.layers.Dense | keras.layers.Conv2D) or wrong:
        kinds = ", ".join(wrong) or last.__class__.__name__
        raise UsageError(
            f"{subject.name} cannot be fine-tuned: it ends with {kinds}. Required: a model whose last layer with "
            "weights is a Dense or Conv2D layer, not inside another model. Put such a layer on top of it first."
        )
    features = last.input
    width = {"units": classes} if isinstance(last, keras.layers.Dense) else {"filters": classes}
    config = {**last.get_config(), **width, "activation": None, "name": f"{last.name}_new"}
    head = last.__class__.from_config(config)
    scores = head(features)
    if len(scores.shape) > 2:  # noqa: PLR2004 - a convolution's, [N,h,w,classes]
        scores = keras.layers.GlobalAveragePooling2D()(scores)
    model = keras.Model(before.inputs[0], keras.layers.Softmax(name="prob_new")(scores), name=before.name)
    _draw_head(head, seed, 0.0)
    return Network(Path(subject.name).name, None, subject, model, _cuts(before.layers[:at], features), True)


def _cuts(layers: Sequence[Any], features: Any) -> tuple[Any, ...]:
    """`features`, and the tensors in front of the last 1, 2, ... layers with weights that nothing bypasses."""
    import keras

    cuts = [features]
    for layer in reversed(layers):
        if len(cuts) > MOST_BLOCKS:
            break
        if not layer.weights or layer.__class__.__name__ == "BatchNormalization":
            continue
        try:
            keras.Model(layer.input, features)
        except (ValueError, AttributeError):  # another path leads around it, or it is used twice
            continue
        cuts.append(layer.input)
    return tuple(cuts)


def _draw_head(head: Any, seed: int, bias: float) -> None:
    """Random first weights of the layer `head`, the same on every machine for one seed."""
    shapes = [tuple(array.shape) for array in head.weights]
    kernel = np.random.default_rng(seed).normal(0, HEAD_DEVIATION, shapes[0]).astype(np.float32)
    head.set_weights([kernel, *(np.full(shape, bias, np.float32) for shape in shapes[1:])])
