"""Files from outside: their hashes; text and JSON of bounded size, decoded as the dataclasses that describe them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import types
import typing
from pathlib import Path
from typing import Any

from edge_squeeze.errors import UsageError

LARGEST = 64 << 20  # a parity.json of 50,000 pictures has 10 MB


def sha256(path: Path) -> str:
    """The sha256 of the file `path`, in hexadecimal; OSError if it cannot be read."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_text(path: Path, largest: int = LARGEST) -> str:
    """The text of the regular file `path`, at most `largest` bytes of UTF-8; UsageError otherwise."""
    try:
        if not path.is_file():
            raise UsageError(f"{path} is missing, or is not a file.")
        with path.open("rb") as file:
            data = file.read(largest + 1)
        if len(data) > largest:
            raise UsageError(f"{path} is too large: at most {largest:,} bytes are read.")
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} cannot be read as text: {error}. Save it as UTF-8.") from error
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read as text: {error}.") from error


def read_json(path: Path, largest: int = LARGEST) -> Any:
    """The value in the JSON file `path`; UsageError if it is not valid JSON."""
    try:
        return json.loads(read_text(path, largest))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not valid JSON: {error}.") from error


def decode(kind: Any, value: Any, where: str) -> Any:
    """`value`, parsed from JSON, as the annotated type `kind`; UsageError names what does not fit."""
    if kind is Any:
        return value
    if dataclasses.is_dataclass(kind):
        return _decode_dataclass(typing.cast("type", kind), value, where)
    if typing.get_origin(kind) is not None:
        return _decode_generic(kind, value, where)
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise _mismatch(kind.__name__, value, where)
    return value


def _mismatch(required: str, value: Any, where: str) -> UsageError:
    return UsageError(f"{where} must be {required}, got {json.dumps(value)[:60]}.")


def _decode_generic(kind: Any, value: Any, where: str) -> Any:
    """A list, tuple or dict of something, or something | None."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is types.UnionType:
        return None if value is None else decode(arguments[0], value, where)
    if origin is dict and isinstance(value, dict):
        return {key: decode(arguments[1], item, f"{where}: {key}") for key, item in value.items()}
    if origin in (list, tuple) and isinstance(value, list):
        return _decode_sequence(origin, arguments, value, where)
    raise _mismatch("an object" if origin is dict else "a list", value, where)


def _decode_sequence(origin: Any, arguments: tuple[Any, ...], value: list[Any], where: str) -> Any:
    fixed = origin is tuple and arguments[-1] is not Ellipsis
    if fixed and len(value) != len(arguments):
        raise UsageError(f"{where} must have {len(arguments)} entries, got {len(value)}.")
    kinds = arguments if fixed else [arguments[0]] * len(value)
    return origin(decode(kind, item, f"{where}[{i}]") for i, (kind, item) in enumerate(zip(kinds, value, strict=True)))


def _decode_dataclass(kind: type, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise _mismatch("an object", value, where)
    hints = typing.get_type_hints(kind)
    fields = dataclasses.fields(kind)
    required = [f.name for f in fields if f.default is f.default_factory is dataclasses.MISSING]
    if missing := [name for name in required if name not in value]:
        raise UsageError(f"{where} lacks {', '.join(missing)}.")
    known = [f.name for f in fields if f.name in value]
    decoded = {name: decode(hints[name], value[name], f"{where}: {name}") for name in known}
    try:
        return kind(**decoded)
    except UsageError as error:  # a type that checks its own values
        raise UsageError(f"{where}: {error}") from error
