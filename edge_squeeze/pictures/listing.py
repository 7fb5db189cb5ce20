"""Which files are pictures: those of a folder, those that a list names, and what is left out."""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NoReturn

from PIL import Image, features

from edge_squeeze.errors import UsageError
from edge_squeeze.files.reading import read_text

# Formats that Pillow only identifies, or has Ghostscript run as a program.
NOT_READ = {"BUFR", "EPS", "GRIB", "HDF5", "IPTC", "MPEG", "WMF"}
CODECS = {"AVIF": "avif", "JPEG2000": "jpg_2000", "WEBP": "webp"}  # that a build of Pillow may lack
HEIF = (".heic", ".heif", ".hif")
PLUG_IN = "pillow_heif"
LIST = ".txt"  # of pictures
KNOWN = "a whole picture file of a format that Pillow reads (JPEG, PNG, WebP, BMP, GIF, TIFF, ...)"
SKIPPED_FOLDERS = {"@eaDir", "#recycle", "$RECYCLE.BIN", "__MACOSX", "System Volume Information", "lost+found"}
LONGEST_PATH = 4096  # of Linux
SGI = (".rgb", ".rgba", ".bw")  # endings of SGI's pictures, and of files that hold nothing but pixels, of unknown size
SGI_START = b"\x01\xda"


@cache
def suffixes() -> frozenset[str]:
    """The endings of the picture files that the installed Pillow reads, and those of HEIF if its plug-in is there."""
    if importlib.util.find_spec(PLUG_IN) is not None:
        importlib.import_module(PLUG_IN).register_heif_opener()
    Image.init()
    refused = NOT_READ | {name for name, codec in CODECS.items() if not features.check(codec)}
    able = {suffix for suffix, name in Image.registered_extensions().items() if name in Image.OPEN.keys() - refused}
    return frozenset(able | {".mpo"})  # of JPEG's reader


def is_picture(path: Path) -> bool:
    """Whether `path` is named as a picture file that can be read here; hidden files are not."""
    return path.suffix.lower() in suffixes() and not path.name.startswith(".")


def list_pictures(path: Path) -> list[Path]:
    """The picture files at `path`: the file itself, those that a list names, or all below a folder, sorted.

    A list is a .txt file with one path per line, relative to its own folder. UsageError if there are no pictures.
    """
    if path.is_file():
        return [path.parent / name for name in listed(path)] if is_list(path) else [path]
    if not path.is_dir():
        raise UsageError(f"No such file or folder: {path}. Required: a picture, a folder of pictures, or a list.")
    pictures, others = _walk(path)
    if not pictures:
        kinds = f" It has {_kinds(others)}." if others else ""
        raise UsageError(f"No pictures in {path}.{kinds} Required: {KNOWN}.")
    return pictures


def picture_name(file: Path, path: Path) -> str:
    """What to call `file`: its path relative to the folder or the list at `path`."""
    folder = path if path.is_dir() else path.parent
    return str(file.relative_to(folder) if file.is_relative_to(folder) else file)


def left_out(path: Path) -> list[str]:
    """What to say of the files in the folder `path` that are not taken as pictures; empty if there are none."""
    others = _walk(path)[1] if path.is_dir() else []
    return [f"left out {_kinds(others)} in {path}"] if others else []


def _walk(folder: Path) -> tuple[list[Path], list[Path]]:
    """The pictures below `folder`, sorted, and what else is there, without what is hidden or kept by systems."""
    pictures: list[Path] = []
    others: list[Path] = []
    for place, folders, names in os.walk(folder, onerror=_refuse_folder):
        visible = [name for name in folders if not name.startswith(".") and name not in SKIPPED_FOLDERS]
        others += [Path(place, name) for name in visible if Path(place, name).is_symlink()]
        folders[:] = visible
        for path in (Path(place, name) for name in names if not name.startswith(".")):
            is_taken = is_picture(path) and path.is_file() and not _is_bare(path)
            (pictures if is_taken else others).append(path)
    return sorted(pictures), sorted(others)


def _is_bare(path: Path) -> bool:
    """Whether the file `path` holds bare pixels, as an artifact's golden/pixels.rgb, under the ending of a picture."""
    if path.suffix.lower() not in SGI:
        return False
    try:
        with path.open("rb") as file:
            return file.read(len(SGI_START)) != SGI_START
    except OSError:  # reading it as a picture tells why
        return False


def _refuse_folder(error: OSError) -> NoReturn:
    raise UsageError(f"{error.filename} cannot be listed: {error.strerror}.") from error


def _kinds(others: Sequence[Path]) -> str:
    """How many of each kind `others` are, as in "3 files that are not read as pictures (2 .heic, 1 .db)"."""
    counts = Counter(_kind(path) for path in others)
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in counts.most_common())
    heif = counts.keys() & set(HEIF) - suffixes()
    remedy = "; `pip install pillow-heif` to read HEIC" if heif else ""
    what = "file that is not read as a picture" if len(others) == 1 else "files that are not read as pictures"
    return f"{len(others):,} {what} ({kinds}{remedy})"


def _kind(path: Path) -> str:
    if path.is_dir():
        return "linked folder"
    if not path.is_file():
        return "without content"  # broken links, sockets
    return path.suffix.lower() or "without an ending"


def is_list(path: Path) -> bool:
    """Whether the file `path` is a list of pictures, by its name."""
    return path.suffix.lower() == LIST


def listed(path: Path) -> list[str]:
    """The non-empty lines of the list at `path`; UsageError if there are none, or one cannot be a path."""
    lines = [line.removesuffix("\r") for line in read_text(path).split("\n")]
    names = [line for line in lines if line]
    if not names:
        raise UsageError(f"{path} lists no pictures. Required: one path per line, relative to the folder of the list.")
    for number, line in enumerate(lines, start=1):
        if "\0" in line or len(line) > LONGEST_PATH:
            raise UsageError(f"{path}: line {number} is not the path of a picture: {line[:40]!r}.")
    return names
