"""Pictures of a result: the confusion matrix, the learning curve, and the worst mistakes on a contact sheet."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from edge_squeeze.pictures.preprocessing import Pixels

WHITE, BLACK, GRID = (255, 255, 255), (20, 20, 20), (205, 205, 205)
RIGHT, WRONG = np.array([40, 120, 60]), np.array([190, 50, 40])
CELL, SMALLEST_CELL, MARGIN = 44, 8, 12  # pixels
WIDEST = 1600  # of a matrix of many classes
LONGEST = 18  # letters of a class name
THUMBNAIL, COLUMNS = 140, 6  # of the contact sheet
CHART = (720, 400)  # width, height
TRAINING, VALIDATION = (150, 150, 150), (30, 90, 180)


def _png(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()


def _short(label: str) -> str:
    return label if len(label) <= LONGEST else f"{label[: LONGEST - 3]}..."


def confusion(matrix: NDArray[np.intp], labels: Sequence[str]) -> bytes:
    """A PNG of the `matrix` [true,predicted] of counts; numbers are in the cells as long as there is room."""
    count = len(labels)
    cell = max(SMALLEST_CELL, min(CELL, WIDEST // count))
    side = 120 if cell == CELL else 0  # room for the names
    picture = Image.new("RGB", (side + cell * count + MARGIN, side + cell * count + MARGIN), WHITE)
    draw = ImageDraw.Draw(picture)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    for row in range(count):
        for column in range(count):
            strong = RIGHT if row == column else WRONG
            shade = tuple((255 - (255 - strong) * shares[row, column]).astype(int).tolist())
            left, top = side + column * cell, side + row * cell
            draw.rectangle((left, top, left + cell, top + cell), fill=shade, outline=GRID)
            if cell == CELL and matrix[row, column]:
                draw.text((left + 6, top + 14), f"{matrix[row, column]}", fill=BLACK)
    if side:
        for number, label in enumerate(labels):
            draw.text((4, side + number * cell + 14), _short(label), fill=BLACK)
            upright = Image.new("RGB", (side - 4, cell), WHITE)
            ImageDraw.Draw(upright).text((0, 14), _short(label), fill=BLACK)
            picture.paste(upright.rotate(90, expand=True), (side + number * cell, 4))
    return _png(picture)


def mistakes(pictures: Sequence[Pixels], captions: Sequence[str]) -> bytes:
    """A PNG of `pictures` in rows, with the `captions` of one or several lines below them."""
    width, height = THUMBNAIL + MARGIN, THUMBNAIL + 3 * MARGIN + 16
    rows = max(1, -(-len(pictures) // COLUMNS))
    sheet = Image.new("RGB", (COLUMNS * width + MARGIN, rows * height + MARGIN), WHITE)
    draw = ImageDraw.Draw(sheet)
    if not pictures:
        draw.text((MARGIN, MARGIN), "no mistakes on the test pictures", fill=BLACK)
    for number, (pixels, caption) in enumerate(zip(pictures, captions, strict=True)):
        left, top = MARGIN + number % COLUMNS * width, MARGIN + number // COLUMNS * height
        thumbnail = Image.fromarray(pixels)
        thumbnail.thumbnail((THUMBNAIL, THUMBNAIL))
        sheet.paste(thumbnail, (left, top))
        draw.multiline_text((left, top + THUMBNAIL + 4), caption, fill=BLACK)
    return _png(sheet)


def learning_curve(training: Sequence[float], validation: Sequence[float], starts: Sequence[tuple[int, str]]) -> bytes:
    """A PNG of the accuracy by epoch, 0 to 1; `starts` are the epochs at which a stage begins, with its name."""
    picture = Image.new("RGB", CHART, WHITE)
    draw = ImageDraw.Draw(picture)
    left, top, right, bottom = 48, 30, CHART[0] - 20, CHART[1] - 40
    lowest = np.floor(min([*training, *validation, 0.9]) * 10) / 10

    def place(number: int, value: float) -> tuple[float, float]:
        across = (number + 0.5) / len(validation)
        return left + across * (right - left), bottom - (value - lowest) / (1 - lowest) * (bottom - top)

    for value in np.linspace(lowest, 1, 6).tolist():
        height = place(0, value)[1]
        draw.line((left, height, right, height), fill=GRID)
        draw.text((6, height - 6), f"{value:.0%}", fill=BLACK)
    for start, name in starts:
        across = left + start / len(validation) * (right - left)
        draw.line((across, top, across, bottom), fill=GRID)
        draw.text((across + 4, bottom + 4), name, fill=BLACK)
    for values, color in ((training, TRAINING), (validation, VALIDATION)):
        points = [place(number, value) for number, value in enumerate(values)]
        draw.line(points, fill=color, width=2)
        for across, height in points:
            draw.ellipse((across - 2, height - 2, across + 2, height + 2), fill=color)
    draw.text((left, 8), "accuracy by epoch: validation (blue), training, with dropout (gray)", fill=BLACK)
    return _png(picture)
