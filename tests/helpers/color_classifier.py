"""A Keras classifier that needs no training: it names the color that a picture has most or least of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from colored_pictures import save_blotches

import edge_squeeze

SIDE = 16
NAMES = ("red", "green", "blue", "cyan", "magenta", "yellow", "grey")


def save(path: Path, scale: float = 1.0) -> Path:
    """Leave it in the file `path`, with its class names beside it; it is wrong where `scale` is below 0."""
    from keras import Input, Model, layers

    inputs = Input((SIDE, SIDE, 3))
    colors = layers.Conv2D(3, 3, padding="same", name="blur")(inputs)
    outputs = layers.Dense(len(NAMES), activation="softmax", name="classes")(layers.GlobalAveragePooling2D()(colors))
    model = Model(inputs, outputs)
    kernel = np.zeros((3, 3, 3, 3), np.float32)
    kernel[:, :, range(3), range(3)] = 1 / 9
    model.get_layer("blur").set_weights([kernel, np.full(3, -127.5, np.float32)])
    directions = np.eye(3, dtype=np.float32) - 1 / 3
    weights = np.concatenate([directions, -directions, np.zeros((1, 3), np.float32)]).T * scale / 8
    model.get_layer("classes").set_weights([weights, np.array([0.0] * 6 + [0.5], np.float32)])
    model.save(path)
    path.with_name("labels.txt").write_text("\n".join(NAMES))
    return path


def export(folder: Path, precision: str = "float32,int8", scale: float = 1.0) -> list[Path]:
    """The folders of its artifacts, below `folder`, where the model stays."""
    folder.mkdir(exist_ok=True)
    model = save(folder / "colors.keras", scale)
    exported = edge_squeeze.export(
        model, precision=precision, preprocessing="raw", labels=folder / "labels.txt", out=folder / "out"
    )
    return [artifact.folder for artifact in exported]


def label(images: Path, artifact: Path, count: int) -> Path:
    """`images` with `count` pictures in them, two of three labeled as `artifact` answers, the others as it does not."""
    save_blotches(images, count)
    classifier = edge_squeeze.load(artifact)
    lines = ["file,label"]
    for number, file in enumerate(sorted(images.glob("*.png"))):
        best = classifier.predict(file)[0].index
        lines.append(f"{file.name},{NAMES[best if number % 3 else (best + 1) % len(NAMES)]}")
    (images / "labels.csv").write_text("\n".join(lines) + "\n")
    return images


def truth(images: Path) -> dict[str, int]:
    """The right class of each picture."""
    lines = (images / "labels.csv").read_text().splitlines()[1:]
    return {name: NAMES.index(text) for name, text in (line.split(",") for line in lines)}
