"""The public functions: what the command line does, from Python. Each loads what it needs when it is called."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_squeeze.networks.variants import DEFAULT_VARIANT

if TYPE_CHECKING:
    from edge_squeeze.benchmarks.result import Comparison, Result
    from edge_squeeze.bundling.bundle import Bundled
    from edge_squeeze.converters.export import Exports
    from edge_squeeze.networks.architecture import Size
    from edge_squeeze.networks.design import Design
    from edge_squeeze.pictures.preprocessing import Preprocessing
    from edge_squeeze.prediction import Classifier
    from edge_squeeze.proof.verification import Verification
    from edge_squeeze.reporting import Reporter
    from edge_squeeze.training.training import Trained


def build(
    variant: str = DEFAULT_VARIANT,
    *,
    weights: str | Path | None = None,
    classes: int | None = None,
    input_size: Size | None = None,
    dropout: float | None = None,
    design: Design | None = None,
    seed: int = 0,
) -> Any:
    """The Keras model: a normalised picture [N,H,W,3] float32 -> scores [N,classes], probabilities in most.

    `weights` is "imagenet", "random" or a file; by default the variant's ImageNet weights where it has them for
    this number of classes, else random ones drawn from `seed`. `input_size` is a side, or (height, width), in
    pixels, or "any". `design` is what differs from the variant's row: `edge_squeeze.networks.design.Design`.
    The preprocessing that weights of each origin want is in `edge_squeeze.conventions`.

    Raises UsageError for what cannot be built or loaded, MissingDependencyError without TensorFlow.
    """
    from edge_squeeze.models import original, source, weights as store
    from edge_squeeze.networks.architecture import architecture

    named = store.default(architecture(variant, classes, input_size, design=design)) if weights is None else weights
    return original.build_model(*source.find_weights(variant, named, seed, classes, input_size, dropout, design))


def export(
    model: str | Path = DEFAULT_VARIANT,
    *,
    format: str | Sequence[str] = "tflite",  # noqa: A002 - the command line's word
    precision: str | Sequence[str] = "float32",
    weights: str | Path | None = None, seed: int | None = None, classes: int | None = None,
    input_size: Size | None = None, design: Design | None = None,
    preprocessing: str | Preprocessing | None = None, resize: str | None = None,
    labels: str | Path | None = None, custom_objects: str | None = None,
    calibration: str | Path | None = None, images: str | Path | None = None, out: str | Path = "out",
    io: str | None = None, layout: str = "nhwc", opset: int | None = None, dynamic_batch: bool = False,
    reporter: Reporter | None = None, command: str = "edge_squeeze.export",
) -> Exports:  # fmt: skip
    """The artifacts written below `out`, one for each format and precision, each with the proof of its parity.

    `model` is a variant, or a Keras model of yours: a .keras or .h5 file or a SavedModel folder. What its pictures go
    through is `preprocessing`: one of `edge_squeeze.conventions.PRESETS` (with `resize`: crop, stretch, or the short
    side in pixels before the crop), a file, or the value itself.
    A failed proof is told by `.proof.verdict` of each, not raised. `calibration` (pictures or a calibration.json, for
    int8) and `images` (for the proof) default to crops of built-in photographs. `io` is the pixels' dtype.

    Raises UsageError, ConversionError or MissingDependencyError.
    """
    from edge_squeeze.artifact import labels as names
    from edge_squeeze.converters import export as exporter, targets
    from edge_squeeze.converters.options import DEFAULT_OPSET, ConvertOptions
    from edge_squeeze.converters.request import Request
    from edge_squeeze.models import source as subjects
    from edge_squeeze.reporting import Silent

    reporter = reporter or Silent()
    options = ConvertOptions(io, layout, DEFAULT_OPSET if opset is None else opset, dynamic_batch)
    orders, notes = targets.plan(_names(format), _names(precision), options)
    for note in notes:
        reporter.note(note)
    choice = subjects.Choice(model, weights, seed, classes, input_size, preprocessing, resize, custom_objects, design)
    _check_files(images, calibration, labels)
    subject = subjects.find(choice, reporter)
    known = names.load(_path(labels), subject.classes)
    request = Request(subject, orders, known, Path(out), _path(calibration), _path(images), command)
    return exporter.export(request, reporter)


def train(
    variant: str,
    *,
    images: str | Path | None = None, out: str | Path = "trained",
    epochs: int | None = None, batch_size: int | None = None, learning_rate: float | None = None, seed: int = 0,
    input_size: Size | None = None, design: Design | None = None,
    preprocessing: str | Preprocessing | None = None, resize: str | None = None,
    reporter: Reporter | None = None,
) -> Trained:  # fmt: skip
    """The variant, trained from scratch on `images`, a folder with a folder for each class, or on digits.

    `.folder` of the result has its weights.npz, for `export` and `build`, and lists of the pictures; `.accuracy` is on
    pictures that nothing was learnt from, `.interval` its 95 % interval. What is None has the default of
    `edge_squeeze.training.options.TrainOptions`.

    Raises UsageError for pictures that cannot be learnt from, MissingDependencyError.
    """
    from edge_squeeze.reporting import Silent
    from edge_squeeze.training import training
    from edge_squeeze.training.options import TrainOptions

    given = {
        "epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate, "design": design, "seed": seed,
        "input_size": input_size, "preprocessing": preprocessing, "resize": resize,
    }  # fmt: skip
    chosen: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    return training.train(TrainOptions(variant, _path(images), Path(out), **chosen), reporter or Silent())


def verify(
    artifact: str | Path,
    *,
    images: str | Path | None = None,
    original: str | Path | None = None,
    custom_objects: str | None = None,
    runtime: str | None = None,
    threads: int = 1,
    reporter: Reporter | None = None,
) -> Verification:
    """What re-checking the folder `artifact` gave: its golden files, and its parity where the original can be had.

    `images` is a folder of pictures, `original` a weights file or Keras model to use in place of the recorded one,
    `custom_objects` the Python module that defines layers which are not Keras' own. `.passed` of
    the result says whether everything held. Raises UsageError for what cannot be read, ConversionError where the
    engine refuses the file.
    """
    from edge_squeeze.artifact import folder as artifacts
    from edge_squeeze.engines.runner import RunOptions
    from edge_squeeze.pictures import loading
    from edge_squeeze.proof import verification
    from edge_squeeze.reporting import Silent

    loaded = artifacts.load(Path(artifact))
    if images is not None:
        loading.check(Path(images))
    return verification.verify(
        loaded,
        _path(images),
        _path(original),
        custom_objects,
        RunOptions(threads, runtime),
        reporter or Silent(),
    )


def load(artifact: str | Path, *, runtime: str | None = None, threads: int = 1) -> Classifier:
    """A classifier that runs the folder `artifact`: `.predict(picture)` gives its best classes.

    Raises UsageError for a folder that is no artifact, MissingDependencyError without an engine for its format.
    """
    from edge_squeeze.artifact import folder as artifacts
    from edge_squeeze.engines.runner import RunOptions
    from edge_squeeze.prediction import Classifier

    return Classifier(artifacts.load(Path(artifact)), RunOptions(threads, runtime))


def bundle(artifacts: str | Path | Sequence[str | Path], target: str | Path, *, force: bool = False) -> list[Bundled]:
    """The folders `artifacts`, checked and copied into the folder `target` of an app, with an index.json of all there.

    `.change` of each is added or replaced, `.folder` the copy. All are copied, or none.

    Raises UsageError for what is no whole artifact, or unproven, or cannot be written, FailedParityError for what
    failed its proof; the verdict of the proof is overlooked by `force`.
    """
    from edge_squeeze.bundling import bundle as bundling

    several = [artifacts] if isinstance(artifacts, str | Path) else artifacts
    return bundling.add([Path(one) for one in several], Path(target), force=force)


def benchmark(
    files: str | Path | Sequence[str | Path],
    *,
    profile: str = "standard", threads: int | str | Sequence[int] | None = None,
    runtime: str | Sequence[str] | None = None, cores: str = "big",
    spin: bool = True, inputs: str | Path | None = None, input_shape: Sequence[str] | None = None, seed: int = 0,
    launches: int | None = None, duration: float | None = None, rate: float | None = None,
    gate: str | Sequence[str] = "p50", across_networks: bool = False,
    aa_floor: bool = False, fresh: bool = False, reporter: Reporter | None = None,
) -> Result:  # fmt: skip
    """What measuring the latency of `files` (.tflite, .onnx or artifacts' folders) gave.

    The first file of each network is the baseline of its others; with `across_networks` the first of all is.
    `threads`, `runtime` and `gate` take several, with commas or in a sequence; each combination of the first two is an
    arm. `.arms[].summary.p50_ms` is the typical latency in milliseconds, `.arms[].validity` whether to trust
    it, `.comparisons[].verdict` what came of it.

    Raises UsageError, ConversionError (not one arm could be measured) or MissingDependencyError.
    """
    from edge_squeeze.benchmarks import benchmark as benchmarks, request
    from edge_squeeze.reporting import Silent

    several = [files] if isinstance(files, str | Path) else files
    ask = request.ask(
        several, threads, runtime, cores, inputs, input_shape or [], seed, spin=spin, across_networks=across_networks
    )
    settings = request.settings(profile, launches, duration, rate, gate, aa=aa_floor, fresh=fresh)
    return benchmarks.run(ask, settings, reporter or Silent())


def compare(
    old: str | Path, new: str | Path, *, gate: str | Sequence[str] = "p50", force: bool = False
) -> list[Comparison]:
    """The comparisons of the arms of two saved results; incomparable where device or settings differ, unless `force`.

    Raises UsageError for a file that is no result.
    """
    from edge_squeeze.benchmarks import replaying, request

    return replaying.compare(Path(old), Path(new), request.gates(gate), force=force)


def replay(file: str | Path, *, gate: str | Sequence[str] = "p50") -> Result:
    """The result saved in `file`, its figures computed anew from its samples. Raises UsageError if it is none."""
    from edge_squeeze.benchmarks import replaying, request

    return replaying.replay(Path(file), request.gates(gate))


def _check_files(images: str | Path | None, calibration: str | Path | None, labels: str | Path | None) -> None:
    """Raise UsageError for what is missing or holds no pictures, before TensorFlow and a model are loaded."""
    from edge_squeeze.converters.quantization import calibration as calibrations
    from edge_squeeze.errors import UsageError
    from edge_squeeze.pictures import loading

    if labels is not None and not Path(labels).exists():
        raise UsageError(f"No such file or folder: {labels}.")
    if images is not None:
        loading.check(Path(images))
    if calibration is not None:
        calibrations.check(Path(calibration))


def _names(value: str | Sequence[str]) -> list[str]:
    parts = value.split(",") if isinstance(value, str) else [part for one in value for part in one.split(",")]
    return [part.strip() for part in parts if part.strip()]


def _path(value: str | Path | None) -> Path | None:
    return None if value is None else Path(value)
