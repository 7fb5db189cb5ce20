"""What a converter may be told, in one value that travels whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from edge_squeeze.errors import UsageError
from edge_squeeze.scores import PROBABILITIES

# Read by ONNX Runtime 1.31, its web build, OpenVINO 2026, OpenCV 4 and 5 in every option tried (docs/formats.md).
# 18, the newest that tf2onnx writes, was only tried in float32.
DEFAULT_OPSET = 17
OPSETS = range(13, 19)
LAYOUTS = ("nhwc", "nchw")
Ranges = Mapping[str, tuple[float, float]]  # layer -> smallest and largest value it gave


@dataclass(frozen=True)
class ConvertOptions:
    """How to write one file. None stands for the target's own default.

    `io` is the dtype of the pixels; a quantized target gives its scores in it, too. `ranges` and `output` are not the
    user's to choose: they are found out on the way.
    """

    io: str | None = None
    layout: str = "nhwc"
    opset: int = DEFAULT_OPSET
    dynamic_batch: bool = False
    ranges: Ranges | None = None
    output: str = PROBABILITIES  # what the scores are, and what the output tensor is called

    def check(self) -> None:
        """Raise UsageError for a value that no target knows."""
        if self.layout not in LAYOUTS:
            raise UsageError(f"layout must be {' or '.join(LAYOUTS)}, got {self.layout!r}.")
        if self.opset not in OPSETS:
            raise UsageError(f"opset must be a number from {OPSETS.start} to {OPSETS.stop - 1}, got {self.opset!r}.")

    def without(self, fields: Iterable[str]) -> tuple[ConvertOptions, list[str]]:
        """These options with `fields` at their defaults, and those of them that were not."""
        defaults = {name: getattr(ConvertOptions(), name) for name in fields}
        return replace(self, **defaults), [name for name, value in defaults.items() if getattr(self, name) != value]

    def record(self) -> dict[str, Any]:
        """The user's choices, for model.json."""
        return {key: value for key, value in asdict(self).items() if key not in ("ranges", "output")}

    def suffix(self, default_io: str) -> str:
        """What the artifact's name says of options that are not the default: -nchw, -io-float32, ..."""
        default = ConvertOptions()
        parts = [
            (self.io or default_io) != default_io and f"-io-{self.io}",
            self.layout != default.layout and f"-{self.layout}",
            self.opset != default.opset and f"-opset{self.opset}",
            self.dynamic_batch and "-dynamic-batch",
        ]
        return "".join(part for part in parts if part)
