"""The trainings that artifacts come from, where their folders are still there: which pictures had a part in them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edge_squeeze.artifact.folder import Artifact
from edge_squeeze.artifact.manifest import WeightsRecord
from edge_squeeze.errors import UsageError
from edge_squeeze.files import reading
from edge_squeeze.pictures.labeled import LEARNED_LISTS, LabeledPictures, is_training
from edge_squeeze.pictures.listing import list_pictures
from edge_squeeze.proof.leakage import FEWEST

MODELS = (".npz", ".keras")  # of the file that a training leaves


def learned_from(artifacts: Mapping[str, Artifact]) -> list[Path]:
    """The pictures that had a part in the trainings of `artifacts`, if only to choose the best epoch."""
    records = {artifact.manifest.weights for artifact in artifacts.values()}
    return [picture for record in records if record.path is not None for picture in _learned(Path(record.path), record)]


def _learned(weights: Path, record: WeightsRecord) -> list[Path]:
    """Those of the training that left the file `weights`, if that is still the one of `record`."""
    if not is_training(weights.parent) or not weights.is_file() or reading.sha256(weights) != record.sha256:
        return []
    try:
        return [picture for name in LEARNED_LISTS for picture in list_pictures(weights.parent / name)]
    except UsageError:  # a list was removed
        return []


def left_out(pictures: LabeledPictures) -> list[str]:
    """A remark if pictures were left out since a network has learned from them."""
    if not pictures.learned:
        return []
    count = f"{pictures.learned:,} of the {pictures.count:,} pictures"
    return [f"left out {count}: they had a part in the training of the network, which would flatter it"]


def check(pictures: LabeledPictures) -> None:
    """Raise UsageError before any work if too few pictures remain that no network has learned from."""
    remain = pictures.count - pictures.learned
    if pictures.learned and remain < FEWEST:
        raise UsageError(
            f"{pictures.learned:,} of the {pictures.count:,} pictures had a part in the training of the network, which "
            f"leaves {remain}. Required: at least {FEWEST}, better 100, that it has not learned from. Pass others with "
            "--images, or the folder of its training, which stands for the test pictures."
        )


def others(artifacts: Mapping[str, Artifact], images: Path) -> list[str]:
    """A warning for each of `artifacts` that is not of the training whose folder `images` is evaluated."""
    if not is_training(images):
        return []
    files = [path for path in images.iterdir() if path.suffix in MODELS]
    digests, places = {reading.sha256(path) for path in files}, {path.resolve() for path in files}
    warnings = []
    for name, record in ((name, artifact.manifest.weights) for name, artifact in artifacts.items()):
        if record.path is not None and Path(record.path).resolve() in places:
            origin = f"earlier weights of {record.path}. Export it again"
        else:
            origin = f"{record.path or record.source}, not from the training in {images}"
        if record.sha256 not in digests:
            warnings.append(f"warning: {name} was made from {origin}")
    return warnings
