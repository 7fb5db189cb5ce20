"""Compares our files with those of other converters and quantizers, and prints a table in Markdown.

Usage: make rivals [WEIGHTS=FILE] [IMAGES=DIR] [ARGS=...]. Every tool gets the same Keras network and the same
calibration pictures, every file the same uint8 pixels, in one session on one core in which the files take turns.
SqueezeNet 1.1 is compared, and 1.0 where WEIGHTS has its weights. Every other picture of IMAGES calibrates, the rest
are compared on, each with three crops of it; with a labels.csv in there, the table has the share of right answers, too.
Without IMAGES, both are crops of the built-in photographs.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path[:0] = [str(HERE / "helpers")]

import numpy as np  # noqa: E402 - helpers stand in the folder that was just named
from interleaving import latencies, ratio, typical  # noqa: E402
from rival_files import CONTENDERS, INT8, Contender, Material, size  # noqa: E402

NETWORKS = {"squeezenet1.1": False, "squeezenet1.0": True}  # network -> whether it needs --weights
PACKAGES = (
    *("edge-squeeze", "tensorflow", "keras", "ai-edge-litert", "ai-edge-quantizer", "tf2onnx", "onnxruntime"),
    *("openvino", "nncf", "ncnn", "pnnx"),
)
REQUIRED = ("ai_edge_quantizer", "openvino", "nncf", "ncnn", "pnnx")  # modules that .venv does not have
# Before anything is imported: OpenVINO and NNCF send what is done with them to Intel.
NO_TELEMETRY = {"NNCF_CI": "1", "DO_NOT_TRACK": "1", "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
CALIBRATE, EVALUATE = "calibrate.txt", "evaluate.txt"
MADE, REFERENCE, RESULT = "made.json", "reference.npz", "result.json"
FEWEST = 20  # pictures
LONGEST_REASON = 300
CROPS = 20  # of each built-in photograph
VIEWS, SMALLEST_VIEW, SEED = 3, 0.6, 21  # besides the usual one
PUBLISHED, DOCUMENT, README = ROOT / "tests" / "rivals.json", ROOT / "docs" / "rewrites.md", ROOT / "README.md"
BEGIN, END = "<!-- rivals: written by make rivals -->\n", "<!-- end of rivals -->\n"


class RefusedError(Exception):
    """What was asked for cannot be done, and what to do instead."""


def say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def switch_telemetry_off() -> None:
    """Keep every rival from calling home, in this process and those that it starts."""
    os.environ.update(NO_TELEMETRY)
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment] # importing it fails, which NNCF allows for


def check(options: argparse.Namespace) -> None:
    """Raise RefusedError for what would fail after minutes."""
    from edge_squeeze.packages import is_installed

    if missing := [name for name in REQUIRED if not is_installed(name)]:
        raise RefusedError(f"Not installed here: {', '.join(missing)}. Run: make rivals")
    for path in (options.weights, options.images):
        if path is not None and not path.exists():
            raise RefusedError(f"No such file or folder: {path}.")
    if options.rounds < 1:
        raise RefusedError(f"--rounds must be 1 or more, got {options.rounds}.")
    for network in options.networks:
        if network not in NETWORKS:
            raise RefusedError(f"Unknown network: {network}. Choices: {', '.join(NETWORKS)}.")
        if NETWORKS[network] and options.weights is None:
            raise RefusedError(f"{network} needs its weights. Run: make rivals WEIGHTS=FILE")
        if options.reuse and not (options.folder / network / MADE).exists():
            raise RefusedError(f"--reuse needs files in {options.folder / network}. Leave it out once.")


def save_photograph_crops(folder: Path) -> Path:
    """A folder of crops of the built-in photographs, somewhat larger than networks take them."""
    from PIL import Image

    from edge_squeeze.pictures.loading import photograph_crops

    folder.mkdir(parents=True, exist_ok=True)
    crops = photograph_crops(CROPS, (256, 256), SEED, 0.35)
    for name, pixels in zip(crops.names, crops.pixels, strict=True):
        Image.fromarray(pixels).save(folder / f"{name}.png")
    return folder


def share_out(images: Path, folder: Path) -> int:
    """Write lists of the pictures to calibrate with and of the others; how many there are."""
    from edge_squeeze.pictures.listing import list_pictures

    pictures = [str(path.resolve()) for path in list_pictures(images)]
    if len(pictures) < FEWEST:
        raise RefusedError(f"{images} has {len(pictures)} pictures. Required: {FEWEST} or more.")
    for name, part in ((CALIBRATE, pictures[::2]), (EVALUATE, pictures[1::2])):
        (folder / name).write_text("".join(f"{path}\n" for path in part))
    return len(pictures)


def right_classes(images: Path, folder: Path) -> list[list[int]]:
    """The classes that are right for each picture to evaluate on; empty ones where nothing says it."""
    from edge_squeeze.artifact import labels
    from edge_squeeze.pictures import labeled

    table = images / labeled.TABLE
    if not table.is_file():
        return [[] for _ in (folder / EVALUATE).read_text().splitlines()]
    evaluated = labeled.find(folder / EVALUATE, table, labels.default(1000))
    return [sorted(picture.classes) for picture in evaluated.pictures]


def make(network: str, options: argparse.Namespace) -> None:
    """Make the files of every contender, and save what they are compared by."""
    from edge_squeeze import packages
    from edge_squeeze.converters.rewrites.normalization import bake
    from edge_squeeze.models import original as originals, source
    from edge_squeeze.pictures.loading import load_folder
    from edge_squeeze.process.output import captured
    from edge_squeeze.version import __version__

    folder = options.folder / network
    folder.mkdir(parents=True, exist_ok=True)
    images = options.images or save_photograph_crops(options.folder / "pictures")
    count = share_out(images, folder)
    originals.load_tensorflow()
    weights = options.weights if NETWORKS[network] else None
    subject = source.of_variant(*source.find_weights(network, weights or "imagenet"))
    original, lists = subject.original(), [folder / name for name in (CALIBRATE, EVALUATE)]
    calibration, shown = (load_folder(path, subject.preprocessing) for path in lists)
    pixels = np.concatenate([shown.pixels, shown.crops(VIEWS, SEED, SMALLEST_VIEW)])
    model, _ = bake(original.model, original.preprocessing.baked)
    material = Material(network, weights, model, lists[0], calibration.pixels, folder)
    np.savez(folder / REFERENCE, pixels=pixels, scores=original.run(pixels))
    files: dict[str, dict[str, str]] = {}
    for contender in CONTENDERS:
        say(f"{network}: make {contender.name}")
        try:
            with captured():
                files[contender.name] = {"path": str(contender.make(material))}
        except Exception as error:  # rivals raise whatever they like: the table says so
            files[contender.name] = failure(contender, error)
    source_of = "built-in photographs" if options.images is None else "pictures"
    record = {
        "pictures": f"{len(calibration)} of {count} {source_of} to calibrate, {VIEWS + 1} views of each of the others",
        "classes": right_classes(images, folder) * (VIEWS + 1),
        "versions": packages.versions(PACKAGES) | {"edge-squeeze": __version__},
        "files": files,
    }
    (folder / MADE).write_text(json.dumps(record, indent=1) + "\n")


def failure(contender: Contender, error: Exception) -> dict[str, str]:
    """What the table says of a rival that failed; of our own files the error is raised again."""
    if contender.ours is None:
        raise error
    return {"failure": " ".join(f"{type(error).__name__}: {error}".split())[:LONGEST_REASON]}


def measure(network: str, options: argparse.Namespace) -> None:
    """Compare and time the files that `make` left, on one core, and save what came out."""
    from rival_engines import opened

    from edge_squeeze.process.output import captured

    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    folder = options.folder / network
    made, reference = json.loads((folder / MADE).read_text()), np.load(folder / REFERENCE)
    pixels, expected, rows, calls = reference["pixels"], reference["scores"], {}, {}
    for contender in CONTENDERS:
        file = made["files"][contender.name]
        if "failure" in file:
            rows[contender.name] = file
            continue
        say(f"{network}: compare {contender.name}")
        path = Path(file["path"])
        try:
            with captured():
                run, scores = opened(contender.engine, path, contender.precision)
                answers = np.concatenate([scores(run(picture[None])) for picture in pixels]).reshape(expected.shape)
        except Exception as error:  # as in `make`
            rows[contender.name] = failure(contender, error)
            continue
        rows[contender.name] = {"bytes": size(path), **figures(expected, answers, made["classes"])}
        calls[contender.name] = lambda run=run: run(pixels[:1])
    say(f"{network}: time {len(calls)} files in {options.rounds} rounds")
    turns = latencies(calls, options.rounds)
    for contender in CONTENDERS:
        if contender.name in turns:
            rows[contender.name] |= timing(contender, turns)
    (folder / RESULT).write_text(json.dumps({**made, "rows": rows}, indent=1) + "\n")


def figures(expected: Any, answers: Any, classes: Sequence[Sequence[int]]) -> dict[str, float]:
    """How close `answers` [N,classes] are to the original's, and how often they are right where that is known."""
    from edge_squeeze.proof.parity import compare

    parity = compare(expected, answers)
    record = {"agreement": parity.top1_agreement, "kl": parity.kl}
    labeled = [(right, answer) for right, answer in zip(classes, answers, strict=True) if right]
    if labeled:
        record["top1"] = float(np.mean([int(answer.argmax()) in right for right, answer in labeled]))
    return {name: round(value, 5) for name, value in record.items()}


def timing(contender: Contender, turns: Mapping[str, Any]) -> dict[str, Any]:
    """Its latency, and that of our file of the same kind as a share of it."""
    record: dict[str, Any] = {"ms": round(typical(turns[contender.name]), 3)}
    if contender.ours is not None:
        record["ratio"], record["interval"] = ratio(turns[contender.ours], turns[contender.name])
    return record


def table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """The figures of one network as Markdown."""
    lines = [
        "| file | engine | MB | agreement | top-1 | KL | ms | ours takes |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for contender in CONTENDERS:
        row = rows.get(contender.name)
        if row is None:
            continue
        if "failure" in row:
            lines.append(f"| {contender.name} | {contender.engine} | failed: {row['failure']} | | | | | |")
            continue
        name = f"**{contender.name}**" if contender.ours is None else contender.name
        ours = "{:.2f} ({:.2f} to {:.2f})".format(row["ratio"], *row["interval"]) if "ratio" in row else ""
        cells = (name, contender.engine, f"{row['bytes'] / 1e6:.2f}", *_shares(row), f"{row['kl']:.4f}")
        lines.append(f"| {' | '.join(cells)} | {row['ms']:.2f} | {ours} |")
    return "\n".join(lines) + "\n"


def document(result: Mapping[str, Any]) -> str:
    """The tables of all networks as Markdown, with where, when and with what they were measured."""
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items())
    parts = [f"Measured {result['date']} on {result['device']}, {result['rounds']} rounds: {versions}.\n"]
    for network, measured in result["networks"].items():
        name = network.replace("squeezenet", "SqueezeNet ")
        parts.append(f"{name}, {measured['pictures']}:\n\n{table(measured['rows'])}")
    return "\n".join(parts)


def options_table() -> str:
    """How each file is made, as Markdown."""
    lines = [f"| {contender.name} | {contender.options} |" for contender in CONTENDERS]
    return "\n".join(["| file | how |", "|---|---|", *lines]) + "\n"


def summary(result: Mapping[str, Any]) -> str:
    """The int8 files of all networks side by side, as Markdown."""
    networks = {name.removeprefix("squeezenet"): measured["rows"] for name, measured in result["networks"].items()}
    heads = [f"{name} ms | agreement | top-1" for name in networks]
    lines = [f"| int8 | {' | '.join(heads)} |", f"|---|{'---|' * 3 * len(networks)}"]
    for contender in CONTENDERS:
        if contender.precision != INT8:
            continue
        cells = [contender.name]
        for rows in networks.values():
            row = rows[contender.name]
            cells += ["failed", "", ""] if "failure" in row else [f"{row['ms']:.2f}", *_shares(row)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", f"Measured {result['date']} on {result['device']}."]) + "\n"


def _shares(row: Mapping[str, Any]) -> list[str]:
    """Agreement and top-1 as text."""
    return [f"{100 * row[name]:.1f} %" if name in row else "-" for name in ("agreement", "top1")]


def publish(result: Mapping[str, Any]) -> None:
    """Keep `result` and put its tables into the documentation."""
    PUBLISHED.write_text(json.dumps(result, indent=1) + "\n")
    for path, text in ((DOCUMENT, f"{document(result)}\n{options_table()}"), (README, summary(result))):
        head, begin, rest = path.read_text().partition(BEGIN)
        _, end, tail = rest.partition(END)
        path.write_text(f"{head}{begin}{text}{end}{tail}")


def collected(options: argparse.Namespace) -> dict[str, Any]:
    """What was measured of all networks, with where, when and with what."""
    from edge_squeeze.machine import device

    processor = device.describe_processor()
    results = {network: json.loads((options.folder / network / RESULT).read_text()) for network in options.networks}
    return {
        "device": f"{processor.name} ({processor.arch}), 1 core",
        "date": dt.datetime.now(tz=dt.UTC).date().isoformat(),
        "versions": results[options.networks[0]]["versions"],  # with which the files were made
        "rounds": options.rounds,
        "networks": {
            network: {key: result[key] for key in ("pictures", "rows")} for network, result in results.items()
        },
    }


def parsed(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, help="Weights of SqueezeNet 1.0")
    parser.add_argument("--images", type=Path, help="Folder of pictures; by default the built-in photographs")
    parser.add_argument("--networks", help="Networks with commas; by default all whose weights are there")
    parser.add_argument("--rounds", type=int, default=200, help="Turns of each file")
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "rivals", help="Where files and results go")
    parser.add_argument("--reuse", action="store_true", help="Measure the files of an earlier run anew")
    parser.add_argument("--publish", action="store_true", help=f"Write {PUBLISHED.name} and the tables in docs/")
    parser.add_argument("--stage", choices=("make", "measure"), help=argparse.SUPPRESS)
    options = parser.parse_args(words)
    usual = [network for network, needs in NETWORKS.items() if options.weights is not None or not needs]
    options.networks = options.networks.split(",") if options.networks else usual
    return options


def main(words: Sequence[str] | None = None) -> int:
    """Make, compare and time the files of each network, each stage in a process of its own; the exit code."""
    from edge_squeeze.errors import EdgeSqueezeError

    words = sys.argv[1:] if words is None else list(words)
    options = parsed(words)
    switch_telemetry_off()
    try:
        check(options)
        if options.stage is not None:
            (network,) = options.networks
            {"make": make, "measure": measure}[options.stage](network, options)
            return 0
        for network in options.networks:
            for stage in ("measure",) if options.reuse else ("make", "measure"):
                command = [sys.executable, __file__, *words, "--networks", network, "--stage", stage]
                if code := subprocess.run(command, check=False).returncode:
                    return code
    except (RefusedError, EdgeSqueezeError) as error:
        say(f"Error: {error}")
        return 2
    except KeyboardInterrupt:
        return 130
    result = collected(options)
    sys.stdout.write(document(result))
    if options.publish:
        publish(result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
