"""The bundled models, and the folder of assets that they end up in."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from building.console import UnusableError

INDEX = "index.json"
HOW = (
    "Bundle an artifact first, from the folder above android_demo:\n"
    "  edge-squeeze bundle android out/squeezenet1.1-tflite-int8 android_demo"
)
# Android's packager leaves these out; a bundling that was killed leaves some.
IGNORED = shutil.ignore_patterns(".*", "*~")


@dataclass(frozen=True)
class Model:
    """An artifact in the folder of models."""

    folder: str
    format: str
    file: str


def bundled(models: Path) -> list[Model]:
    """The models that the folder's index names; UnusableError if there is none, or the folder is damaged."""
    if not (models / INDEX).is_file():
        raise UnusableError(f"{models} holds no models: there is no {INDEX}. {HOW}")
    try:
        entries = json.loads((models / INDEX).read_text())["artifacts"]
        found = [_model(models, entry["folder"]) for entry in entries]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UnusableError(f"{models} is damaged: {error!r}. Empty it. {HOW}") from error
    if not found:
        raise UnusableError(f"{models} holds no models: its {INDEX} names none. {HOW}")
    return found


def _model(models: Path, folder: str) -> Model:
    manifest = json.loads((models / folder / "model.json").read_text())
    model = Model(folder, manifest["format"], manifest["file"]["name"])
    (models / folder / model.file).stat()
    return model


def merge_assets(assets: Path, models: Path, out: Path) -> Path:
    """The new folder `out`, made of the app's own assets and, as its `models`, of `models` instead of the app's."""
    out.mkdir()
    if assets.is_dir():
        for path in sorted(set(assets.iterdir()) - {assets / "models"}):
            _copy(path, out / path.name)
    _copy(models, out / "models")
    return out


def _copy(path: Path, out: Path) -> None:
    if path.is_dir():
        shutil.copytree(path, out, ignore=IGNORED)
    else:
        shutil.copy2(path, out)
