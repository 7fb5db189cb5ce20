"""What is to be exported: a variant with weights, or a model of the user's, described in the same words."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edge_squeeze.artifact.manifest import Manifest, WeightsRecord
from edge_squeeze.errors import UsageError, unknown
from edge_squeeze.files.documentation import page
from edge_squeeze.models import keras_file, keras_object, original as originals, weights as weight_store
from edge_squeeze.models.original import Original
from edge_squeeze.models.pixel_range import Entrance, entrance, entrance_of_keras_2
from edge_squeeze.models.weights import Weights
from edge_squeeze.networks.architecture import ANY, Size, architecture
from edge_squeeze.networks.arithmetic import smallest_input
from edge_squeeze.networks.design import AS_IS, Architecture, Design
from edge_squeeze.networks.variants import VARIANTS
from edge_squeeze.pictures.preprocessing import Preprocessing
from edge_squeeze.pictures.presets import CONVENTIONS, PRESETS, check_choice, choose, describe, preset, preset_of
from edge_squeeze.reporting import Reporter
from edge_squeeze.weight_files import keras_config

Sides = tuple[int, int]  # height, width


@dataclass(frozen=True)
class Subject:
    """A classifier, and how to build its original once TensorFlow is needed."""

    name: str  # squeezenet1.1; for a user's model its file's name without the ending
    variant: str | None  # row of the architecture table, None for a user's model
    suffix: str  # what options that are not the default add to the names of its artifacts
    classes: int
    preprocessing: Preprocessing
    weights: WeightsRecord
    original: Callable[[], Original]
    warnings: tuple[str, ...] = ()
    design: Design = AS_IS
    other_sizes: tuple[Sides, ...] = ()  # (height, width) to prove it at as well, where it takes any

    @property
    def file_size(self) -> tuple[int | None, int | None]:
        """Height and width that its files declare: None where they stay open."""
        return (None, None) if self.other_sizes else self.preprocessing.size

    @property
    def own(self) -> bool:
        """Whether its gates are those of models that nobody has measured here."""
        return is_own(self.variant)

    def identity(self) -> dict[str, Any]:
        """What a calibration of it is only good for."""
        return {
            "variant": self.variant,
            "design": self.design,
            "classes": self.classes,
            "input_size": self.preprocessing.size,
            "weights_sha256": self.weights.sha256,
            "weights_seed": self.weights.seed,
            "preprocessing": self.preprocessing,
        }


@dataclass(frozen=True)
class Choice:
    """What the user asked to export. None stands for the default; `weights`, `seed`, `classes` are for variants."""

    model: Any  # a variant, the path of a Keras model, or the model itself
    weights: str | Path | None = None
    seed: int | None = None
    classes: int | None = None
    input_size: Size | None = None
    preprocessing: str | Preprocessing | None = None
    resize: str | None = None
    filter: str | None = None
    custom_objects: str | None = None  # for models of the user's
    trust_file: bool = False  # likewise
    softmax: bool = False  # whether to put one behind its logits
    design: Design | None = None  # for variants

    def refuse(self, options: tuple[str, ...], reason: str) -> None:
        """Raise UsageError if one of `options` was given: it would go unheeded."""
        values = {option: getattr(self, option) for option in options}
        refused = [option for option, value in values.items() if value is not None and value is not False]
        if refused:
            raise UsageError(f"{', '.join(map(_option, refused))} does not apply to {self.model}: {reason}.")


def is_own(variant: str | None) -> bool:
    """Whether `variant` is none, or one whose weights are always the user's."""
    return variant is None or VARIANTS[variant].convention is None


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def of_variant(arch: Architecture, weights: Weights, preprocessing: Preprocessing | None = None) -> Subject:
    """The variant `arch` with `weights`, prepared for as they were trained, or as `preprocessing` says.

    UsageError if neither is known.
    """
    prepared = _prepared(arch, weights) if preprocessing is None else preprocessing
    return Subject(
        arch.variant,
        arch.variant,
        _suffix(arch, weights),
        arch.classes,
        prepared,
        weights.record,
        lambda: originals.build(arch, weights, prepared),
        design=arch.design,
        other_sizes=sizes(arch.input_size, smallest_input(arch.stages)) if arch.any_size else (),
    )


def _prepared(arch: Architecture, weights: Weights) -> Preprocessing:
    if weights.description.preprocessing is not None:
        return weights.description.preprocessing.at(arch.input_size)
    if weights.convention is not None:
        return CONVENTIONS[weights.convention].preprocessing(arch.input_size)
    if not weights.record.trained:
        return preset("unit", arch.input_size)  # as good as any: nothing was learned
    raise UsageError(
        f"Nothing says how the pictures of {weights.record.path or weights.record.source} were prepared in training, "
        f"and a wrong guess would go unnoticed. Give --preprocessing: {', '.join(PRESETS)}, or a file "
        f"({page('models')})."
    )


def find_weights(
    variant: str,
    weights: str | Path,
    seed: int = 0,
    classes: int | None = None,
    input_size: Size | None = None,
    dropout: float | None = None,
    design: Design | None = None,
) -> tuple[Architecture, Weights]:
    """The architecture, and the weights that `weights` names: size and classes are theirs where they are None."""
    arch = architecture(variant, classes, input_size, dropout, design)
    resolved = weight_store.resolve(arch, weights, seed)
    classes = arch.classes if classes is not None or resolved.classes is None else resolved.classes
    size = _usual_size(variant, resolved) if input_size in (None, ANY) else arch.input_size
    if (classes, size) != (arch.classes, arch.input_size):  # those of the weights are not the row's
        arch = replace(architecture(variant, classes, size, dropout, design), any_size=arch.any_size)
    return arch, resolved


def _usual_size(variant: str, weights: Weights) -> tuple[int, int]:
    """Height and width that `weights` were trained for, where their file says so, else those of the row."""
    preprocessing, graph = weights.description.preprocessing, weights.description.graph
    if preprocessing is not None:
        return preprocessing.size
    if graph is not None and graph.input_size is not None:
        return graph.input_size
    row = VARIANTS[variant]
    own = weights.convention is None or row.convention is None
    side = row.input_size if own else CONVENTIONS[weights.convention or ""].input_size
    return side, side


def _suffix(arch: Architecture, weights: Weights) -> str:
    height, width = arch.input_size
    unusual = not arch.any_size and arch.input_size != _usual_size(arch.variant, weights)
    parts = [
        not weights.record.trained and "-random",
        arch.classes != arch.row.classes and f"-classes-{arch.classes}",
        arch.design.suffix,
        arch.any_size and f"-input-size-{ANY}",
        unusual and f"-input-size-{height}",
        unusual and height != width and f"x{width}",
    ]
    return "".join(part for part in parts if part)


def of_model(choice: Choice) -> Subject:
    """The user's Keras model, loaded; UsageError if it cannot be read or is not an image classifier."""
    path, input_size, preprocessing = Path(choice.model), choice.input_size, choice.preprocessing
    if isinstance(input_size, str):
        raise UsageError(f"--input-size {input_size} is for {', '.join(VARIANTS)}, not for {path}.")
    loaded = keras_file.load(path, input_size, choice.custom_objects, trust_file=choice.trust_file)
    model, record = loaded.model, loaded.record
    _, height, width, channels = model.input_shape
    pixels = entrance(model)
    if not isinstance(preprocessing, Preprocessing):
        chosen = preprocessing or ("raw" if loaded.takes_pixels else _own_preprocessing(pixels, model))
        preprocessing = choose(chosen, (height, width), channels, choice.resize, choice.filter)
    original = Original(model, preprocessing, record)
    suffix = "" if input_size is None else f"-input-size-{height}" + (f"x{width}" if height != width else "")
    classes = max(2, model.output_shape[-1])  # one score stands for two
    if loaded.takes_pixels and not preprocessing.baked.is_raw:
        raise UsageError(f"{path} takes whole numbers, which pixels are before any preprocessing. Give raw, or none.")
    warnings = (*loaded.changes, *_warnings(path, pixels, preprocessing))
    return Subject(keras_file.name(path), None, suffix, classes, preprocessing, record, lambda: original, warnings)


def find(choice: Choice, reporter: Reporter) -> Subject:
    """What `choice` describes; UsageError if it is missing or unusable, or an option does not apply to it."""
    subject = _find(choice, reporter)
    return with_softmax(subject) if choice.softmax else subject


def with_softmax(subject: Subject) -> Subject:
    """`subject` with a softmax behind its logits; building its original raises UsageError if it gives none."""
    return replace(subject, original=lambda: originals.with_softmax(subject.original()))


def _find(choice: Choice, reporter: Reporter) -> Subject:
    if not isinstance(choice.model, str | Path):
        return _in_memory(choice, reporter)
    path = Path(choice.model)
    if isinstance(choice.preprocessing, Preprocessing):
        choice.refuse(("resize", "filter"), "its preprocessing specifies how pictures are resized")
    if str(choice.model) in VARIANTS:
        return _find_variant(choice)
    if not (path.exists() or path.suffix in keras_file.SUFFIXES or len(path.parts) > 1):
        raise UsageError(f"{unknown('variant', str(path), VARIANTS)} Or give a Keras model: {keras_file.KNOWN}.")
    choice.refuse(("weights", "seed", "classes"), "a model file has its own")
    if design := (choice.design or AS_IS).record():
        raise UsageError(f"{', '.join(map(_option, design))} is for {', '.join(VARIANTS)}, not for {path}.")
    with reporter.step(f"read {path}"):
        _check_preprocessing(path, choice.preprocessing)
        subject = of_model(choice)
        reporter.note(f"pictures: {describe(subject.preprocessing)}")
    return subject


def _in_memory(choice: Choice, reporter: Reporter) -> Subject:
    """A Keras model that was given as an object, read again from a file of its own, so that it stays as it is."""
    model = choice.model
    with tempfile.TemporaryDirectory(prefix="edge-squeeze-") as folder:
        path = keras_object.save(model, Path(folder))
        with keras_object.own_classes(model):
            try:
                subject = _find(replace(choice, model=path, trust_file=True), reporter)  # code of this very process
            except UsageError as error:  # nobody knows that file
                raise UsageError(str(error).replace(str(path), f"The model {model.name}")) from error
    record = replace(
        subject.weights, source=f"Keras model {model.name} in memory", path=None, sha256=keras_object.digest(model)
    )
    original = replace(subject.original(), weights=record)
    return replace(subject, weights=record, original=lambda: original)


def _find_variant(choice: Choice) -> Subject:
    choice.refuse(("custom_objects", "trust_file"), "it has none")
    weights = "imagenet" if choice.weights is None else choice.weights
    arch, resolved = find_weights(
        str(choice.model), weights, choice.seed or 0, choice.classes, choice.input_size, design=choice.design
    )
    if choice.preprocessing is None:
        choice.refuse(("resize", "filter"), "its weights say how; with --preprocessing it does")
    if not isinstance(choice.preprocessing, str):
        return of_variant(arch, resolved, choice.preprocessing)
    prepared = choose(choice.preprocessing, arch.input_size, resize=choice.resize, filter=choice.filter)
    return of_variant(arch, resolved, prepared)


def _check_preprocessing(path: Path, preprocessing: str | Preprocessing | None) -> None:
    """Raise UsageError if `preprocessing` is unknown, or missing although the model at `path` cannot show it."""
    itself = keras_file.prepares_itself(path)
    if isinstance(preprocessing, str):
        check_choice(preprocessing)
        if preprocessing != preset_of(preprocessing) == "raw" and not itself and path.is_file():
            raise UsageError(
                f"{preprocessing} normalizes its pictures itself, but no layer of {path} does, as after "
                f"include_preprocessing=False. Give what it was trained with: --preprocessing {', '.join(PRESETS)}, or "
                f"a file ({page('models')})."
            )
    if itself or preprocessing is not None:
        return
    inside = " A SavedModel cannot be looked into: if it normalizes by itself, say raw." if path.is_dir() else ""
    raise _unknown_preprocessing(inside)


def _unknown_preprocessing(hint: str) -> UsageError:
    return UsageError(
        "Nothing says how this model's pictures were prepared in training, and a wrong guess would go unnoticed. "
        f"Give --preprocessing: {', '.join(PRESETS)}, or a file ({page('models')}).{hint}"
    )


def _own_preprocessing(pixels: Entrance, model: Any) -> str:
    """`raw`, if the first layers of `model` show that it takes raw pixels; else UsageError."""
    if pixels.takes_raw:
        return "raw"
    if any(layer.__class__.__name__ == "TFSMLayer" for layer in model.layers):  # what Keras 2 saved
        raise _unknown_preprocessing(" Its layers cannot be looked into: if it normalizes itself, say raw.")
    raise _unknown_preprocessing(f" {pixels.description()}")


def _warnings(path: Path, pixels: Entrance, preprocessing: Preprocessing) -> Iterator[str]:
    """Warnings about the `preprocessing` that the user chose for the model at `path`."""
    raw = preprocessing.baked.is_raw
    if path.is_dir() and not raw:
        yield "a SavedModel cannot be looked into; if it has a layer that normalizes, its pictures are normalized twice"
    if path.is_file() and keras_config.keras_2(path):
        seen = entrance_of_keras_2(keras_config.read(path), preprocessing.baked.channels)
        if seen is None:
            if not raw:
                yield "the model starts with a Normalization; if that takes 0 to 255, pixels are normalized twice"
            return
        pixels = seen
    if not pixels.layers or pixels.meaning(preprocessing) is not None:
        return
    twice = "the model has a layer that normalizes; with --preprocessing its pictures are normalized twice: "
    yield f"{'' if raw else twice}{pixels.effect(preprocessing)}"


def find_again(
    manifest: Manifest, path: Path | None, custom_objects: str | None, *, trust_file: bool = False
) -> Subject:
    """What the artifact of `manifest` was made from, read from `path`, or if None from where it says.

    UsageError if that is gone, no longer the same, or of another kind.
    """
    subject = _find_again(manifest, path, custom_objects, trust_file=trust_file)
    return with_softmax(subject) if manifest.options.get("softmax") else subject


def _find_again(manifest: Manifest, path: Path | None, custom_objects: str | None, *, trust_file: bool) -> Subject:
    record, preprocessing = manifest.weights, manifest.preprocessing
    if manifest.variant is None:
        model = path or Path(record.path or "")
        if path is None:
            if record.in_memory:
                raise UsageError("it was a model in memory; save it with model.save, if you still have it")
            keras_file.check_unchanged(model, record)
        size = manifest.input_size
        choice = Choice(
            model,
            input_size=size,
            preprocessing=preprocessing,
            custom_objects=custom_objects,
            trust_file=trust_file,
        )
        return of_model(choice)
    arch = architecture(manifest.variant, manifest.classes, manifest.input_size, design=manifest.design)
    arch = replace(arch, any_size=manifest.any_size)
    weights = weight_store.find_again(arch, record) if path is None else weight_store.resolve(arch, path)
    return of_variant(arch, weights, preprocessing)


def sizes(usual: Sides, smallest: int) -> tuple[Sides, ...]:
    """A smaller, a larger and a wider size than `usual`, no side below `smallest`.

    The smaller and the wider one have an odd side: padding to "same" size is another there than for even sides.
    """
    height, width = usual
    smaller = max(smallest, height * 3 // 4 | 1), max(smallest, width * 3 // 4 | 1)
    return smaller, (height * 5 // 4, width * 5 // 4), (height, width * 3 // 2 | 1)
