"""Keeps the output of converters and engines, from Python or from C++, off the terminal until it is needed."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from edge_squeeze.errors import ConversionError, EdgeSqueezeError


class Chatter:
    """What was printed while a `captured` block ran."""

    text = ""


_visible = False


def visible(on: bool) -> None:  # noqa: FBT001 - a switch
    """Let everything through from now on, if `on`."""
    global _visible  # noqa: PLW0603 - standard output and error are the process's, too
    _visible = on


@contextmanager
def captured() -> Iterator[Chatter]:
    """Redirect the process's standard output and error to `Chatter.text` while the block runs.

    It works on the file descriptors, since TensorFlow and LiteRT write to them from C++.
    """
    chatter = Chatter()
    if _visible:
        yield chatter
        return
    _flush()
    saved = os.dup(1), os.dup(2)
    with tempfile.TemporaryFile() as file:
        try:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
            yield chatter
        finally:
            _flush()
            for descriptor, target in zip(saved, (1, 2), strict=True):
                os.dup2(descriptor, target)
                os.close(descriptor)
            file.seek(0)
            chatter.text = file.read().decode("utf-8", "replace")


@contextmanager
def retracing_expected() -> Iterator[None]:
    """Keep TensorFlow from warning, while the block runs, that it compiles one small model after the other."""
    logger = logging.getLogger("tensorflow")

    def is_other(record: logging.LogRecord) -> bool:
        return _visible or "retracing" not in record.getMessage()

    logger.addFilter(is_other)
    try:
        yield
    finally:
        logger.removeFilter(is_other)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # as in programs without a console
            stream.flush()


@contextmanager
def converting(what: str) -> Iterator[None]:
    """`captured`, with whatever a converter raises turned into a ConversionError that keeps its output.

    Converters raise exceptions of every kind; `what` names the step, as in "TensorFlow could not convert it".
    """
    chatter = Chatter()
    try:
        with captured() as chatter:
            yield
    except EdgeSqueezeError:
        raise
    except Exception as error:
        raise ConversionError(f"{what}: {error}", chatter.text) from error
