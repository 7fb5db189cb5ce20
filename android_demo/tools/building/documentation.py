"""The Kotlin of the documentation, taken out so that it can be compiled."""

from __future__ import annotations

import re
from pathlib import Path

BLOCK = re.compile(r"^```kotlin\n(package .*?)^```", re.MULTILINE | re.DOTALL)


def kotlin_files(page: Path, out: Path) -> list[Path]:
    """Files with the page's blocks that are whole files; what is wrong in line N of one is in line N of the page."""
    if not page.is_file():
        return []
    out.mkdir(parents=True, exist_ok=True)
    text = page.read_text()
    found: list[Path] = []
    for match in BLOCK.finditer(text):
        found.append(out / f"{page.stem}{len(found) + 1}.kt")
        found[-1].write_text("\n" * text.count("\n", 0, match.start(1)) + match[1])
    return found
