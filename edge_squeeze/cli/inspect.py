"""`edge-squeeze inspect`: shows what a model file contains."""

from __future__ import annotations

from edge_squeeze.cli import arguments as arg


def inspect(file: arg.FileOrArtifact, json_: arg.Json = False, verbose: arg.AllColumns = False) -> None:
    """Show what any .tflite or .onnx file contains: types, operators, what runs in int8, sizes."""
    from edge_squeeze.cli import inspect_report

    inspect_report.show(*inspect_report.run(file), as_json=json_, verbose=verbose)
