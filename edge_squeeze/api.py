"""The public functions: what the command line does, from Python. Each loads what it needs when it is called."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_squeeze.benchmarks.options import BenchmarkOptions, Words, gates
from edge_squeeze.evaluation.api import evaluate as evaluate  # noqa: PLC0414 - it is one of the public functions
from edge_squeeze.models import keras_settings
from edge_squeeze.networks import design as designs
from edge_squeeze.networks.variants import DEFAULT_VARIANT
from edge_squeeze.reports.api import report as report  # noqa: PLC0414 - likewise
from edge_squeeze.training.api import finetune as finetune, train as train  # noqa: PLC0414 - likewise

if TYPE_CHECKING:
    from edge_squeeze.benchmarks.result import Comparison, Result
    from edge_squeeze.benchmarks.result_files import Saved
    from edge_squeeze.bundling.bundle import Bundled
    from edge_squeeze.converters.export import Exports
    from edge_squeeze.networks.architecture import Size
    from edge_squeeze.networks.design import Design
    from edge_squeeze.pictures.preprocessing import Preprocessing
    from edge_squeeze.prediction import Classifier
    from edge_squeeze.proof.verification import Verification
    from edge_squeeze.reporting import Reporter


@keras_settings.preserved()
def build(
    variant: str = DEFAULT_VARIANT,
    *,
    weights: str | Path | None = None,
    classes: int | None = None,
    input_size: Size | None = None,
    dropout: float | None = None,
    bypass: str = "none",
    base_e: int | None = None,
    incr_e: int | None = None,
    pct_3x3: float | None = None,
    freq: int | None = None,
    squeeze_ratio: float | None = None,
    seed: int = 0,
    design: Design | None = None,
) -> Any:
    """The Keras model: a normalized picture [N,H,W,3] float32 -> scores [N,classes], probabilities in most.

    Args:
        variant: A row of `edge_squeeze.networks.variants.VARIANTS`.
        weights: "imagenet", "random" or a weights file. By default the variant's ImageNet weights where it has them
            for this number of classes, else random ones. What preprocessing weights of each origin require is in
            `edge_squeeze.pictures.presets`.
        classes: Number of classes; by default that of the weights.
        input_size: Side in pixels, (height, width), or "any"; by default the variant's.
        dropout: Share of the features dropped in training, 0 to 1; by default the variant's.
        bypass: Additions around fire modules: "none", "simple" or "complex" (section 6 of the paper).
        base_e: Filters that the first fire module expands to (section 5), as the following; by default the variant's.
        incr_e, freq: How many more after each `freq` fire modules, which expand alike.
        pct_3x3: Share of those filters that is 3x3, 0 to 1.
        squeeze_ratio: Squeeze filters for each filter that is expanded to, above 0.
        seed: Seed of random weights.
        design: Deprecated: a `Design` with `bypass` to `squeeze_ratio` in one value.

    Raises:
        UsageError: The network cannot be built, or the weights cannot be loaded into it.
        MissingDependencyError: TensorFlow is not installed.
    """
    keywords = locals()
    from edge_squeeze.models import original, source, weights as store
    from edge_squeeze.networks.architecture import architecture

    chosen = designs.of_keywords(keywords)
    if weights is None:
        weights = store.default(architecture(variant, classes, input_size, design=chosen))
    return original.build_model(*source.find_weights(variant, weights, seed, classes, input_size, dropout, chosen))


@keras_settings.preserved()
def export(
    model: Any = DEFAULT_VARIANT,
    *,
    format: str | Sequence[str] = "tflite",  # noqa: A002 - the command line's word
    precision: str | Sequence[str] = "float32",
    weights: str | Path | None = None,
    seed: int | None = None,
    classes: int | None = None,
    input_size: Size | None = None,
    bypass: str = "none",
    base_e: int | None = None,
    incr_e: int | None = None,
    pct_3x3: float | None = None,
    freq: int | None = None,
    squeeze_ratio: float | None = None,
    preprocessing: str | Preprocessing | None = None,
    resize: str | None = None,
    filter: str | None = None,  # noqa: A002 - the command line's word
    labels: str | Path | None = None,
    custom_objects: str | None = None,
    trust_file: bool = False,
    calibration: str | Path | None = None,
    calibration_samples: int | None = None,
    calibration_seed: int | None = None,
    calibration_range: str = "auto",
    images: str | Path | None = None,
    skip_unreadable: bool = False,
    out: str | Path = "out",
    io: str | None = None,
    layout: str | None = None,
    opset: int | None = None,
    dynamic_batch: bool = False,
    softmax: bool = False,
    head: str = "float",
    rewrites: str = "auto",
    quantizer: str = "auto",
    keep_float: str | None = None,
    effort: str | None = None,
    strict_int8: bool = False,
    reporter: Reporter | None = None,
    command: str = "edge_squeeze.export",
    design: Design | None = None,
) -> Exports:
    """The artifacts written below `out`, one for each format and precision, each with the proof of its parity.

    A failed proof is not raised: `.proof.verdict` of each artifact says pass, fail or unproven.

    Args:
        model: A variant, or your own Keras model: a .keras or .h5 file, a SavedModel folder, or a `keras.Model`.
        format: "tflite", "onnx" or "all"; several with commas or in a sequence.
        precision: "float32", "float16", "dynamic", "int8", "int16x8" or "all"; several likewise.
        weights: "imagenet", "random" or a weights file, for a variant; by default "imagenet".
        seed: Seed of random weights; by default 0.
        classes: Number of classes of a variant; by default that of the weights.
        input_size: Side in pixels, (height, width), or "any" for a variant that takes pictures of any size.
        bypass, base_e, incr_e, pct_3x3, freq, squeeze_ratio: As in `build`.
        preprocessing: What pixels went through in training: one of `edge_squeeze.pictures.presets.PRESETS`, that of a
            network as "keras-applications:MobileNetV2", a JSON file, or the value. By default that of the weights;
            your own model requires it, unless a layer of it normalizes.
        resize: How pictures are brought to size: "crop", "stretch", or the short side in pixels before the crop.
        filter: "bilinear" (the default), "tf-bilinear", "nearest", "tf-nearest", "bicubic" or "area".
        labels: Text file with a class name a line; by default ImageNet's for 1,000 classes, else numbers.
        custom_objects: Python module, or .py file, that defines layers of your model. It is run.
        trust_file: Whether Python code in Lambda layers of the model's file is run. Only for files of your own.
        calibration: Pictures, a .txt list of them, an .npz file of pixels that declares order and range, or a
            calibration.json, that int8 is made with; by default what the package brings, or built-in photographs.
        calibration_samples: Most pictures to take, 16 or more; by default all of a folder, 200 of a list or .npz file.
        calibration_seed: Seed of that draw; by default 1.
        calibration_range: "minmax" (int16x8 always), "percentile:P", "mse", or "auto": the best on held-out pictures.
        images: Pictures, or a .txt list of them, to prove parity on; by default crops of built-in photographs.
        skip_unreadable: Whether to go on without pictures that cannot be read, which are counted.
        out: Folder that receives a folder for each artifact.
        io: dtype of the pixels, "uint8", "int8" or "float32"; by default uint8 for int8 and int16x8, else float32.
        layout: Layout of the pixels, "nhwc" or "nchw" (ONNX only); by default nhwc for TFLite, nchw for ONNX.
        opset: ONNX operator set, 13 to 18; by default 17.
        dynamic_batch: Whether the batch stays open (ONNX only).
        softmax: Whether to put a softmax behind a network that gives logits, so that its files give probabilities.
        head: What int8 and int16x8 files compute in after the last layer with weights: "float", or "int8" for integers.
        rewrites: "auto", "none", or names with commas between them (docs/rewrites.md).
        quantizer: Of int8 weights: "tuned", "stock" (the converter's own), or "auto": the better on held-out pictures.
        keep_float: Layers that int8 files keep in float, with commas between them, or "auto:K": the K that pay best.
        effort: "quick" or "full", which also trains tuned weights to the original's scores; by default quick.
        strict_int8: Whether to refuse quantized files with operators in float before the head (docs/models.md).
        reporter: Hears of the progress; by default nobody does.
        command: What model.json records as the command.
        design: Deprecated, as in `build`.

    Raises:
        UsageError: An argument, a file or a picture cannot be used.
        ConversionError: A file could not be made; those made before stay (`PartlyExportedError.exported`).
        MissingDependencyError: A package that this export needs is not installed.
    """
    keywords = {**locals(), "design": designs.of_keywords(locals())}
    from edge_squeeze.converters import export as exporter, options
    from edge_squeeze.reporting import Silent

    return exporter.export(options.ExportOptions.of(keywords), reporter or Silent())


@keras_settings.preserved()
def verify(
    artifact: str | Path,
    *,
    images: str | Path | None = None,
    skip_unreadable: bool = False,
    original: str | Path | None = None,
    custom_objects: str | None = None,
    trust_file: bool = False,
    runtime: str | None = None,
    threads: int = 1,
    against: str | Path | None = None,
    reporter: Reporter | None = None,
) -> Verification:
    """What checking an artifact again gave: its golden files, and its parity where the original can be had.

    `.passed` of the result says whether every check passed.

    Args:
        artifact: Folder that `export` left.
        images, skip_unreadable: As in `export`.
        original: Weights file or Keras model to use in place of the one that model.json records.
        custom_objects: Python module, or .py file, that defines layers of your model. It is run.
        trust_file: Whether Python code in Lambda layers of the model's file is run. Only for files of your own.
        runtime: "litert", "tflite-runtime", "tf.lite" or "onnxruntime"; by default the first that is installed.
        threads: Threads of the engine.
        against: Folder of another artifact of the same original, compared on the same pictures: `.against`.
        reporter: Hears of the progress; by default nobody does.

    Raises:
        UsageError: The artifact, the original or a picture cannot be used.
        ConversionError: The engine refuses the file.
        MissingDependencyError: No engine for the format is installed.
    """
    keywords = locals()
    from edge_squeeze.proof import options, verification
    from edge_squeeze.reporting import Silent

    return verification.verify(Path(artifact), options.VerifyOptions.of(keywords), reporter or Silent())


def load(artifact: str | Path, *, runtime: str | None = None, threads: int = 1) -> Classifier:
    """A classifier that runs an artifact: `.predict(picture)` gives its best classes.

    Args:
        artifact: Folder that `export` left.
        runtime: As in `verify`.
        threads: Threads of the engine.

    Raises:
        UsageError: The folder is no artifact.
        MissingDependencyError: No engine for its format is installed.
    """
    from edge_squeeze.artifact import folder
    from edge_squeeze.engines.runner import RunOptions
    from edge_squeeze.prediction import Classifier

    return Classifier(folder.load(Path(artifact)), RunOptions(threads, runtime))


def bundle(artifacts: str | Path | Sequence[str | Path], target: str | Path, *, force: bool = False) -> list[Bundled]:
    """The artifacts, checked and copied into a folder of an app, with an index.json of all that is there.

    All are copied, or none. `.change` of each is "added" or "replaced", `.folder` the copy.

    Args:
        artifacts: One or several folders that `export` left.
        target: The folder; it need not exist.
        force: Take artifacts whose parity failed or is unproven, too.

    Raises:
        UsageError: An artifact is not whole or unproven, or the folder cannot be written.
        FailedParityError: The parity of an artifact failed.
    """
    from edge_squeeze.bundling import bundle as bundling

    several = [artifacts] if isinstance(artifacts, str | Path) else artifacts
    return bundling.add([Path(one) for one in several], Path(target), force=force)


def benchmark(
    files: str | Path | Sequence[str | Path],
    *,
    profile: str = BenchmarkOptions.profile,
    threads: int | str | Sequence[int] | None = None,
    runtime: Words | None = None,
    cores: str = BenchmarkOptions.cores,
    spin: bool = BenchmarkOptions.spin,
    inputs: str | Path | None = BenchmarkOptions.inputs,
    skip_unreadable: bool = BenchmarkOptions.skip_unreadable,
    input_shape: Sequence[str] | None = None,
    seed: int = BenchmarkOptions.seed,
    launches: int | None = BenchmarkOptions.launches,
    duration: float | None = BenchmarkOptions.duration,
    rate: float | None = BenchmarkOptions.rate,
    gate: Words = BenchmarkOptions.gate,
    across_networks: bool = BenchmarkOptions.across_networks,
    aa_floor: bool = BenchmarkOptions.aa_floor,
    fresh: bool = BenchmarkOptions.fresh,
    reporter: Reporter | None = None,
) -> Result:
    """The latency of files: the figures of every arm, whether to trust them, and what became of each comparison.

    `.arms[].summary.p50_ms` is the typical latency in milliseconds, `.arms[].validity` says whether to trust it,
    `.comparisons[].verdict` whether an arm is slower or faster. Every file, runtime and number of threads is an arm.

    Args:
        files: .tflite or .onnx files, or folders that `export` left; the first of each network is its baseline.
        profile: "quick", "standard", "rigorous", "sustained" or "paced" (docs/benchmarking.md).
        threads: Threads of the engine; several with commas or in a sequence; by default up to 4 cores.
        runtime: Engines, as `--runtime` takes them; several likewise; by default the first for each file.
        cores: "big", "prime", "little", "all", or cores as "0,2-3".
        spin: Whether idle threads of ONNX Runtime spin rather than sleep.
        inputs: Pictures to feed to artifacts; by default seeded pixels.
        skip_unreadable: As in `export`.
        input_shape: Shape of each input with open dimensions, as "1,224,224,3"; that of pictures in either layout.
        seed: Seed of the inputs and of the order of the arms.
        launches, duration, rate: Fresh processes per arm, seconds per launch, frames per second; else the profile's.
        gate: Metrics to compare: "p50", "p90", "first", "load", "memory", "size"; several likewise.
        across_networks: Compare all files with the first, even those of another network.
        aa_floor: Measure one file against itself, and keep the noise floor that this gives for later comparisons.
        fresh: Start over instead of resuming an interrupted session.
        reporter: Hears of the progress; by default nobody does.

    Raises:
        UsageError: An argument or a file cannot be used.
        ConversionError: No arm could be measured.
        MissingDependencyError: No engine for a file is installed.
    """
    options = BenchmarkOptions.of(locals())
    from edge_squeeze.benchmarks import benchmark as benchmarks, model_files
    from edge_squeeze.reporting import Silent

    return benchmarks.run(model_files.read_all(files), options, reporter or Silent())


def compare(old: Saved, new: Saved, *, gate: Words = BenchmarkOptions.gate, force: bool = False) -> list[Comparison]:
    """The comparisons of the arms of two saved results.

    Args:
        old, new: The earlier and the later result: .json files of `benchmark --out`, or the documents in them.
        gate: Metrics to compare, as in `benchmark`.
        force: Compare even if device or settings differ; otherwise such arms are incomparable.

    Raises:
        UsageError: A file or a document is not a result.
    """
    from edge_squeeze.benchmarks import benchmark as benchmarks

    return benchmarks.compare(old, new, gates(gate), force=force)


def replay(file: Saved, *, gate: Words = BenchmarkOptions.gate) -> Result:
    """A saved result with its figures computed anew from its samples.

    Args:
        file: A .json file of `benchmark --out`, or the document in it.
        gate: Metrics to compare, as in `benchmark`.

    Raises:
        UsageError: The file or the document is not a result.
    """
    from edge_squeeze.benchmarks import benchmark as benchmarks

    return benchmarks.replay(file, gates(gate))
