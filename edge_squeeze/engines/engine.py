"""What every engine offers and takes: the interface that a Runner and the benchmark use."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from edge_squeeze.errors import ConversionError, EdgeSqueezeError

XNNPACK, BUILTIN, ONNXRUNTIME = "xnnpack", "builtin", "onnxruntime"
REFERENCE = "reference"  # kernels that are slow and plain: nothing is fused, reordered or vectorized
LONGEST_MESSAGE = 500  # some engines print the whole model
OBJECT = re.compile(r"<[^<>]* at 0x[0-9a-fA-F]+>")  # how Python writes a function or an object that has no text
Array = NDArray[Any]
Arrays = Sequence[Array]
Model = bytes | Path


@dataclass(frozen=True)
class Tensor:
    """An input or output as the engine declares it: open dimensions are None, scale 0 means not quantized."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    scale: float = 0.0
    zero_point: int = 0


@dataclass(frozen=True)
class EngineOptions:
    """How to load a model: `kernels` is a family or the engine's default, `shapes` fill open dimensions by input."""

    threads: int = 1
    kernels: str | None = None
    spin: bool = True  # whether ONNX Runtime's idle threads wait actively
    shapes: tuple[tuple[int, ...], ...] = ()


class Engine(Protocol):
    """A loaded model. `kernels` names the family that computes: results agree within a family."""

    version: str
    kernels: str
    inputs: list[Tensor]
    outputs: list[Tensor]
    operators: int | None  # in the file; None if the engine does not report it
    delegated: int | None  # how many of them a delegate runs

    def run(self, arrays: Arrays) -> list[Array]:
        """The outputs for `arrays`, one per input: what an application calls."""
        ...

    def bind(self, arrays: Arrays) -> None:
        """Put `arrays` where `invoke` takes them from."""
        ...

    def invoke(self) -> None:
        """Compute on what was bound, and leave the outputs in the engine."""
        ...


@contextmanager
def engine_errors(failure: str) -> Iterator[None]:
    """Turn whatever an engine raises into a ConversionError: ONNX Runtime's exceptions have no common base class."""
    try:
        yield
    except EdgeSqueezeError:
        raise
    except Exception as error:
        raise ConversionError(f"{failure}: {_reason(error)}") from error


def _reason(error: BaseException) -> str:
    """What `error` says, without the names of objects in memory.

    An engine built for another version of NumPy raises a SystemError that only names one of its own functions; the
    cause of that error says what is wrong with the installation.
    """
    root = error
    while isinstance(root, SystemError) and root.__cause__ is not None:
        root = root.__cause__
    text = OBJECT.sub("a function of the engine", " ".join(str(root).split()))[:LONGEST_MESSAGE] or type(root).__name__
    broken = isinstance(root, ImportError) or root is not error
    return f"{text}. The engine does not work here. Run `edge-squeeze doctor` to find out why." if broken else text


def fits(declared: Sequence[int | None], shape: Sequence[int]) -> bool:
    """Whether `shape` keeps every side that `declared` does not leave open."""
    return len(shape) == len(declared) and all(
        side in (None, chosen) for side, chosen in zip(declared, shape, strict=True)
    )


def must_fit(tensor: Tensor, shape: tuple[int, ...]) -> None:
    """Raise ConversionError if `shape` changes a side of `tensor` that the file has fixed."""
    if tensor.shape and not fits(tensor.shape, shape):
        declared = ",".join("?" if side is None else str(side) for side in tensor.shape)
        raise ConversionError(
            f"Input {tensor.name} has the shape {declared}. Required: an --input-shape that keeps fixed dimensions. "
            f"Got: {','.join(map(str, shape))}."
        )
