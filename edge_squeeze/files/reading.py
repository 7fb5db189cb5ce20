"""Text and JSON files from outside: of bounded size, in UTF-8, and told in one sentence where they are not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edge_squeeze.errors import UsageError

LARGEST = 64 << 20  # a parity.json of 50,000 pictures has 10 MB


def read_text(path: Path, largest: int = LARGEST) -> str:
    """The text of the regular file `path`, of at most `largest` bytes of UTF-8; UsageError if it is none."""
    try:
        if not path.is_file():
            raise UsageError(f"{path} is missing, or is no file.")
        with path.open("rb") as file:
            data = file.read(largest + 1)
        if len(data) > largest:
            raise UsageError(f"{path} is too large: at most {largest:,} bytes are read.")
        return data.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read as text: {error}.") from error


def read_json(path: Path, largest: int = LARGEST) -> Any:
    """The value in the JSON file `path`; UsageError if it is none."""
    try:
        return json.loads(read_text(path, largest))
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not valid JSON: {error}.") from error
