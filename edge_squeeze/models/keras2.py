"""Files that Keras 2 saved, as the SavedModels that tf-keras makes of them in a process of its own.

Keras 3 refuses most of them, and reads some wrong (hard_sigmoid is another function there). A process can have only one
of the two behind TensorFlow, and a file that makes it hang or crash leaves this one alone.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edge_squeeze import packages
from edge_squeeze.errors import MissingDependencyError, UsageError
from edge_squeeze.weight_files.keras_config import layers_of

PACKAGE, EXTRA = "tf-keras", "keras2"
PROGRAM = ("-m", "edge_squeeze.models.keras2_conversion")
LONGEST_SECONDS = 600  # ResNet50 takes 15 on an idle core
ENVIRONMENT = {"TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "HDF5_PLUGIN_PRELOAD": "::"}
LAST_CHARACTERS = 200
# TFOpLambda calls the function of TensorFlow that the file names while the model is built: these compute, others would
# remove files (io.gfile.rmtree) or load a library. Of tf's own names, those of computations.
COMPUTING = re.compile(
    r"(compat\.v1\.)?((math|nn|image|linalg|signal|bitwise|quantization|__operators__"
    r"|(keras\.)?(backend|activations))\.[\w.]+"
    r"|abs|add|add_n|argmax|argmin|argsort|boolean_mask|broadcast_to|cast|clip_by_\w+|concat|constant|convert_to_tensor"
    r"|cos|cosh|cumsum|divide|einsum|ensure_shape|equal|exp|expand_dims|eye|fill|floor|gather|gather_nd|greater\w*"
    r"|identity|less\w*|linspace|logical_\w+|matmul|meshgrid|maximum|minimum|multiply|negative|norm|not_equal"
    r"|one_hot|ones|ones_like|pad|pow|range|rank|realdiv|reduce_\w+|repeat|reshape|reverse|roll|round"
    r"|saturate_cast|scalar_mul|scatter_nd|shape|sigmoid|sign|sin|sinh|size|slice|sort|space_to_batch"
    r"|batch_to_space|split|sqrt|square|squeeze|stack|stop_gradient|strided_slice|subtract|tan|tanh"
    r"|tensor_scatter_nd_\w+|tensordot|tile|transpose|truediv|unstack|where|zeros|zeros_like)"
)
# What layers are configured with that call, or load, what the file names: known by these keys, since a class has many
# names for tf-keras. A Lambda has "function_type" as well; safe mode is for those.
CALLING = ("cls_symbol", "method_name", "call_endpoint")


def check(config: Any, path: Path) -> None:
    """Raise UsageError if building the model of `config` would call more of TensorFlow than computations."""
    for layer in layers_of(config):
        keys = layer["config"]
        function = None if "function_type" in keys else keys.get("function")
        called = [ascii(keys[key])[:60] for key in CALLING if key in keys]
        if isinstance(function, str) and not COMPUTING.fullmatch(function):
            called.append(ascii(f"tf.{function}")[:60])
        if called:
            raise UsageError(
                f"{path} cannot be used: its layer {str(keys.get('name'))[:60]} calls {called[0]}, which may do "
                "more than compute. Required: layers of Keras, and TensorFlow's functions that compute."
            )


def require(path: Path, version: str) -> None:
    """Raise MissingDependencyError if tf-keras, which alone reads the file of Keras `version` at `path`, is missing."""
    if packages.is_installed("tf_keras"):
        return
    arguments = sys.argv[1:] if sys.argv[1:2] in (["export"], ["verify"]) else ["export", str(path)]
    raise MissingDependencyError(
        PACKAGE,
        EXTRA,
        f"reading {path}, which was saved by Keras 2 (version {version})",
        f"Run these two commands:\n  {_installing()}\n  {shlex.join([packages.program(), *arguments])}",
    )


def _installing() -> str:
    """The command that installs tf-keras: beside tensorflow-cpu, without the tensorflow that it asks for."""
    try:
        importlib.metadata.version("tensorflow")
    except importlib.metadata.PackageNotFoundError:
        (row,) = (row for row in packages.own_requirements() if row.package == PACKAGE)
        specifiers = ",".join(sorted(row.specifiers.split(","), reverse=True))  # >=2.21,<2.22
        return f'pip install --no-deps "{PACKAGE}{specifiers}"'
    return packages.install(EXTRA)


@contextmanager
def converted(path: Path, size: int, custom_objects: str | None, *, trust_file: bool = False) -> Iterator[Path]:
    """The folder of the SavedModel that tf-keras makes of the Keras 2 file at `path`, there as long as the block runs.

    Args:
        path: The file, `.keras` or `.h5`.
        size: Its bytes when unpacked, which limit the memory that reading it may take.
        custom_objects: The module that defines the layers that are not Keras' own.
        trust_file: Whether code in the file may run.

    Raises:
        UsageError: The file cannot be read, is not a model in float32, or would run code.
    """
    with tempfile.TemporaryDirectory(prefix="edge-squeeze-") as folder:
        request = {
            "path": str(path),
            "size": size,
            "custom_objects": custom_objects,
            "trust_file": trust_file,
            "folder": folder,
            "parent": os.getpid(),
        }
        answer = _answer(request, path, {**os.environ, **ENVIRONMENT, "KERAS_HOME": folder})
        if "refused" in answer:
            raise UsageError(str(answer["refused"]))
        yield Path(folder) / "model"


def _answer(request: dict[str, Any], path: Path, environment: dict[str, str]) -> dict[str, Any]:
    """What the process of `keras2_conversion` answers; UsageError if it breaks down or takes too long."""
    try:
        process = subprocess.run(  # noqa: S603 - ourselves
            [sys.executable, "-P", *PROGRAM, json.dumps(request)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=LONGEST_SECONDS,
            env=environment,
        )
    except subprocess.TimeoutExpired as error:
        raise UsageError(
            f"{path} was saved by Keras 2; reading it took more than {LONGEST_SECONDS} s. It is damaged, or too large "
            "for this machine."
        ) from error
    try:
        answer = json.loads(process.stdout)
    except ValueError as error:
        last_line = process.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2][:LAST_CHARACTERS]
        raise UsageError(
            f"{path} was saved by Keras 2 and is damaged, or too large for this machine: reading it broke down (exit "
            f"code {process.returncode}) {last_line}".rstrip()
        ) from error
    assert isinstance(answer, dict)
    return answer
