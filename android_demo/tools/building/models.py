"""The bundled models, and the folder of assets that they end up in."""

from __future__ import annotations

import hashlib
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
    found = [_model(models, folder) for folder in _listed(models)]
    if not found:
        raise UnusableError(f"{models} holds no models: its {INDEX} names none. {HOW}")
    return found


def unlisted(models: Path) -> list[str]:
    """Folders beside those that the index names: no app would find them."""
    listed = set(_listed(models))
    folders = (path.name for path in models.iterdir() if path.is_dir() and not path.name.startswith("."))
    return sorted(set(folders) - listed)


def _listed(models: Path) -> list[str]:
    try:
        return [entry["folder"] for entry in json.loads((models / INDEX).read_text())["artifacts"]]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UnusableError(f"{models / INDEX} is no list of models. Move {models} away. {HOW}") from error


def _model(models: Path, folder: str) -> Model:
    """The model in `folder`; UnusableError unless it is the one that was bundled."""
    try:
        manifest = json.loads((models / folder / "model.json").read_text())
        for file in (manifest["file"], manifest["labels"]):
            _check_hash(models / folder / file["name"], file["sha256"])
        return Model(folder, manifest["format"], manifest["file"]["name"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UnusableError(
            f"{folder} is listed in {models / INDEX}, but is damaged: {error}. Bundle it again, or take it out by "
            "`edge-squeeze bundle android android_demo --remove NAME`."
        ) from error


def _check_hash(path: Path, sha256: str) -> None:
    if hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
        raise ValueError(f"{path.name} is not the file that was exported")


def merge_assets(assets: Path, models: Path, out: Path) -> Path:
    """The new folder `out`, made of the app's own assets and, as its `models`, of those that `models` lists."""
    out.mkdir()
    if assets.is_dir():
        for path in sorted(set(assets.iterdir()) - {assets / "models"}):
            _copy(path, out / path.name)
    (out / "models").mkdir()
    for name in (INDEX, *_listed(models)):
        _copy(models / name, out / "models" / name)
    return out


def _copy(path: Path, out: Path) -> None:
    if path.is_dir():
        shutil.copytree(path, out, ignore=IGNORED)
    else:
        shutil.copy2(path, out)
