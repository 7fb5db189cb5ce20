"""What every command is given of the corpus: cases, each a command and the files it meets."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import bad_input

Files = dict[str, bytes]
HARMLESS = (0, 3)  # some damage leaves a file that can be read: other weights, other pixels, failed golden scores
REFUSED = (2, 4)
SMALL = ("--input-size", "64", "--images", "pictures", "--out", "out")


@dataclass(frozen=True)
class Case:
    """A command, and the files that it meets in an empty folder."""

    name: str
    command: tuple[str, ...]
    files: Files
    allowed: tuple[int, ...] = (*HARMLESS, *REFUSED)


@dataclass
class Material:
    """Sound files that the cases are made from."""

    trace: Path
    picture: bytes
    weights: Files
    models: Files
    saved_model: Files
    artifacts: dict[str, Files] = field(default_factory=dict)


def weight_cases(known: Material) -> Iterator[Case]:
    for name, data in known.weights.items():
        for mutation in bad_input.MUTATIONS:
            yield weight_case(name, mutation.name, mutation.apply(data))
    for name, data in bad_input.hostile_weights(known.trace):
        yield weight_case(name, "hostile", data)


def weight_case(name: str, how: str, data: bytes) -> Case:
    return Case(f"{name} {how}", ("export", "--weights", name, "--classes", "4", *SMALL), {name: data})


def model_cases(known: Material) -> Iterator[Case]:
    for name, data in known.models.items():
        for mutation in bad_input.MUTATIONS[::2]:
            files = {name: mutation.apply(data)}
            yield Case(f"{name} {mutation.name}", ("export", name, "--preprocessing", "unit", *SMALL[2:]), files)
    for name, data in known.saved_model.items():
        for mutation in bad_input.MUTATIONS[::3]:
            files = {f"saved/{member}": content for member, content in known.saved_model.items()}
            files[f"saved/{name}"] = mutation.apply(data)
            yield Case(
                f"saved/{name} {mutation.name}", ("export", "saved", "--preprocessing", "unit", *SMALL[2:]), files
            )


def artifact_cases(known: Material) -> Iterator[Case]:
    """Model files that are damaged, in artifacts whose manifest vouches for them."""
    for kind, files in known.artifacts.items():
        manifest = json.loads(files["model.json"])
        name = manifest["file"]["name"]
        more = [bad_input.flipped(seed, 0, 1.0, 20) for seed in range(6)]
        more += [bad_input.widened(side) for side in (0, 8_000, 30_000, 2**31 - 1)]
        for mutation in (*more, *bad_input.MUTATIONS):
            data = mutation.apply(files[name])
            vouched = {**manifest["file"], "sha256": hashlib.sha256(data).hexdigest(), "size_bytes": len(data)}
            spoilt = {**files, name: data, "model.json": json.dumps({**manifest, "file": vouched}).encode()}
            placed = {f"artifact/{path}": content for path, content in spoilt.items()}
            yield Case(f"{kind} {mutation.name}", ("predict", "artifact", "picture.jpg"), placed)


def inspect_cases(known: Material) -> Iterator[Case]:
    for kind in ("tflite-int8", "onnx-float32"):
        files = known.artifacts[kind]
        name = json.loads(files["model.json"])["file"]["name"]
        for mutation in bad_input.MUTATIONS:
            yield Case(f"{kind} {mutation.name}", ("inspect", name), {name: mutation.apply(files[name])})


def manifest_cases(known: Material) -> Iterator[Case]:
    files = known.artifacts["tflite-float32"]
    wrong = bad_input.wrong_documents(json.loads(files["model.json"]), 60)
    for name, data in (*wrong, *bad_input.hostile_text()):
        placed = {f"artifact/{path}": content for path, content in {**files, "model.json": data}.items()}
        yield Case(f"model.json {name}", ("predict", "artifact", "picture.jpg"), placed)


def golden_cases(known: Material) -> Iterator[Case]:
    files = known.artifacts["onnx-float32"]
    for path in ("golden/picture.png", "golden/pixels.rgb", "golden/scores-onnxruntime.f32", "labels.txt"):
        for mutation in bad_input.MUTATIONS[::4]:
            placed = {f"artifact/{p}": c for p, c in {**files, path: mutation.apply(files[path])}.items()}
            yield Case(f"{path} {mutation.name}", ("verify", "artifact"), placed)


def text_cases(known: Material) -> Iterator[Case]:
    base = ("export", "--weights", "random", "--classes", "4", *SMALL)
    for name, data in (*bad_input.hostile_text(), ("short", b"a\nb\n"), ("control", b"a\n\x1b[2J\nc\nd\n")):
        yield Case(f"labels {name}", (*base, "--labels", "labels.txt"), {"labels.txt": data}, REFUSED)
    own = json.loads(known.artifacts["tflite-float32"]["model.json"])["preprocessing"]
    wrong = bad_input.wrong_documents(own, 24)
    for name, data in (*wrong, *bad_input.hostile_text()):
        yield Case(f"preprocessing {name}", ("export", "--preprocessing", "own.json", *SMALL), {"own.json": data})
    calibration = json.loads(known.artifacts["tflite-int8"]["calibration.json"])
    for name, data in (*bad_input.wrong_documents(calibration, 24), *bad_input.hostile_text()):
        command = ("export", "--precision", "int8", "--calibration", "own.json", "--out", "out", "--images", "pictures")
        yield Case(f"calibration {name}", command, {"own.json": data})


def picture_cases(known: Material) -> Iterator[Case]:
    placed = {f"artifact/{path}": data for path, data in known.artifacts["tflite-int8"].items()}
    sound = known.artifacts["tflite-int8"]["golden/picture.png"]
    for name, data in (("a.jpg", known.picture), ("a.png", sound)):
        for mutation in bad_input.MUTATIONS:
            yield Case(f"{name} {mutation.name}", ("predict", "artifact", name), {**placed, name: mutation.apply(data)})
    for name, data in bad_input.hostile_pictures():
        yield Case(name, ("predict", "artifact", name), {**placed, name: data})


GROUPS: dict[str, Callable[[Material], Iterator[Case]]] = {
    "weights": weight_cases,
    "models": model_cases,
    "artifacts": artifact_cases,
    "inspected": inspect_cases,
    "manifests": manifest_cases,
    "golden": golden_cases,
    "texts": text_cases,
    "pictures": picture_cases,
}
