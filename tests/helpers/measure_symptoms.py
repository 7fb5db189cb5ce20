"""How far networks that are not SqueezeNets stay from what `debug` takes for symptoms; nothing may be named of them.

    python tests/helpers/measure_symptoms.py [CASE...]

Fits the cases of trained_models.py, exports them to int8, and debugs the files on other crops of the photographs.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import keras
from trained_models import CASES, CROPS, SIZE, fit, save_crops

import edge_squeeze
from edge_squeeze.converters.debugging import debug, symptoms
from edge_squeeze.converters.debugging.debug import Debugged, DebugOptions
from edge_squeeze.converters.quantization.network import DEPTHWISE
from edge_squeeze.pictures.loading import photograph_crops
from edge_squeeze.reporting import Silent

NETWORKS = ("mobilenet", "depthwise", "valid", "nested", "logits", "sigmoid")
SAMPLES, SEED = (12, 50), 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", default=NETWORKS)
    for name in parser.parse_args().cases:
        with tempfile.TemporaryDirectory() as folder:
            measure(name, Path(folder))


def measure(name: str, folder: Path) -> None:
    keras.utils.set_random_seed(SEED)
    case = CASES[name]
    model = case.build()
    fit(model, case, photograph_crops(CROPS, (SIZE, SIZE), seed=5).pixels)
    model.save(folder / f"{name}.keras")
    calibration, images = save_crops(folder / "calibration", 20, 11), save_crops(folder / "images", 10, 12)
    for quantizer in ("stock", "tuned"):
        exported = edge_squeeze.export(
            folder / f"{name}.keras",
            format="tflite,onnx",
            precision="int8",
            quantizer=quantizer,
            calibration=calibration,
            preprocessing=case.preprocessing,
            out=folder / quantizer,
        )
        for each in exported:
            for samples in SAMPLES:
                result = debug.debug(each.folder, DebugOptions(images, samples, detailed=False), Silent())
                print(f"{each.manifest.name}, {samples} pictures: {figures(result)}", flush=True)  # noqa: T201


def figures(result: Debugged) -> str:
    """What symptoms are judged by, and what is named."""
    layers, simulated = result.layers, result.simulated
    ranged = [layer for layer in layers if layer.clipped is not None and symptoms.computes(layer)]
    clipping = [
        (layer.clipped or 0.0, layer.filled or 0.0) for layer in ranged if (layer.clipped or 0) > symptoms.CLIPPED
    ]
    highest = [max((figure[at] for figure in clipping), default=0.0) for at in (0, 1)]
    moved = max((layer.weight_moves or 0.0 for layer in layers if layer.kind == DEPTHWISE), default=0.0)
    dying = max((layer.dying / layer.channels for layer in layers), default=0.0)
    imbalance = max((layer.imbalance or 0.0 for layer in layers), default=0.0)
    named = ", ".join(finding.symptom for finding in result.findings)
    last = result.legs[-1]
    return (
        f"KL {last.kl_after:.4f} (simulated {simulated.kl_after if simulated else 0:.4f}), kernels "
        f"{last.kl:+.4f} nats; {len(clipping)} of {len(ranged)} layers clip, at most {highest[0]:.3%}, up to "
        f"{highest[1]:.2f} times their ranges; depthwise weights {moved:.2f} steps; dying {dying:.1%}; imbalance "
        f"{imbalance:.1f}; named: {named or 'nothing'}"
    )


if __name__ == "__main__":
    main()
