"""Zip archives of weights, read into memory member by member within limits.

Nothing is ever written to disk, so a member named ../../x is only a name.
"""

from __future__ import annotations

import io
import itertools
import json
import zipfile
from typing import Any

from edge_squeeze.errors import UsageError
from edge_squeeze.weight_files.layers import LARGEST_UNPACKED

MAGIC = b"PK\x03\x04"
DIRECTORY_ENTRY = b"PK\x01\x02"
LOCAL_HEADER_BYTES = 30  # without the name
MOST_MEMBERS = 20_000
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
ENCRYPTED = 1
PART = 1 << 20


class Archive:
    """A zip archive whose directory was found sound; `sizes` are its members' unpacked bytes."""

    def __init__(self, data: bytes, name: str) -> None:
        """Read the directory of `data`; UsageError for what is damaged, encrypted or too large."""
        self.name = name
        # Counted before zipfile makes an object of each: 512 MB have room for eleven million.
        if data.count(DIRECTORY_ENTRY) > MOST_MEMBERS:
            raise UsageError(f"{name}: required a zip archive of at most {MOST_MEMBERS:,} members, got more.")
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
        except Exception as error:  # a damaged directory makes zipfile raise more than BadZipFile
            raise UsageError(
                f"{name} is a damaged or truncated zip archive: {error}. Fetch or make it again."
            ) from error
        members = self._zip.infolist()
        _check(members, name)
        self.sizes = {member.filename: member.file_size for member in members}

    def read(self, member: str) -> bytearray:
        """The bytes of a member, its checksum verified; UsageError if it is missing or damaged."""
        if member not in self.sizes:
            raise UsageError(f"{self.name} lacks {member[:60]!r}, which it needs. Fetch or make it again.")
        size, content = self.sizes[member], bytearray()
        try:
            with self._zip.open(member) as file:
                # In parts: asked for all, zipfile inflates up to 2 GB before it looks at what was declared.
                while part := file.read(min(PART, size - len(content))):
                    content += part
        except Exception as error:  # zlib.error, EOFError, BadZipFile, NotImplementedError ...
            raise UsageError(f"{self.name} is damaged at its member {member[:60]!r}: {error}") from error
        if len(content) != size:
            raise UsageError(f"{self.name} is damaged: {member[:60]!r} has {len(content):,} bytes, declared {size:,}.")
        return content

    def read_json(self, member: str, longest: int) -> Any:
        """What the JSON in a member says; UsageError if it has more than `longest` bytes, or is none."""
        where, size = f"{self.name}: {member}", self.sizes[member]
        if size > longest:
            raise UsageError(f"{where} has {size:,} bytes; required at most {longest:,}.")
        return parsed(bytes(self.read(member)), where)


def parsed(content: bytes, where: str) -> Any:
    """What the JSON `content` says; UsageError naming `where` if it is none."""
    try:
        return json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where} is not valid JSON: {str(error)[:100]}.") from error


def _check(members: list[zipfile.ZipInfo], name: str) -> None:
    unpacked = sum(member.file_size for member in members)
    if unpacked > LARGEST_UNPACKED:
        raise UsageError(f"{name}: required at most {LARGEST_UNPACKED:,} bytes unpacked, it declares {unpacked:,}.")
    if len({member.filename for member in members}) != len(members):
        raise UsageError(f"{name} has two members of one name; required one.")
    for member in members:
        if member.flag_bits & ENCRYPTED or member.compress_type not in METHODS:
            raise UsageError(
                f"{name}: required a zip archive that is stored or deflated, without a password; "
                f"{member.filename[:60]!r} is otherwise."
            )
    for one, following in itertools.pairwise(sorted(members, key=lambda member: member.header_offset)):
        if one.header_offset + LOCAL_HEADER_BYTES + one.compress_size > following.header_offset:
            raise UsageError(f"{name} is damaged: its members {one.filename[:60]!r} and the next one overlap.")
