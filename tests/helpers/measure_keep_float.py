"""How much better a mixed file is than its integer file, on views of pictures that had no part in making them.

    python tests/helpers/measure_keep_float.py IMAGES INTEGER_ARTIFACT MIXED_ARTIFACT... [--original FILE] [--views 4]

IMAGES are other pictures than those that the artifacts were calibrated on. Views are the center of each and crops of 60
to 100 % of its short side, half of them mirrored. Prints divergence, agreement and the paired 95 % interval of the
gain.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from edge_squeeze.artifact import folder as artifacts
from edge_squeeze.converters.debugging.legs import divergence_of, mean_interval
from edge_squeeze.engines.runner import open_runner
from edge_squeeze.pictures.loading import load_folder
from edge_squeeze.proof.accuracy import Pairs
from edge_squeeze.proof.verification import find_subject
from edge_squeeze.scores import comparable

SEED, SMALLEST = 7, 0.6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path)
    parser.add_argument("artifacts", type=Path, nargs="+")
    parser.add_argument("--original", type=Path)
    parser.add_argument("--views", type=int, default=4)
    options = parser.parse_args()
    loaded = [artifacts.load(folder) for folder in options.artifacts]
    subject = find_subject(loaded[0], options.original, None)
    if isinstance(subject, str):
        raise SystemExit(subject)
    pictures = load_folder(options.images, subject.preprocessing)
    crops = [pictures.crops(options.views - 1, SEED, SMALLEST)] if options.views > 1 else []
    pixels = np.concatenate([pictures.pixels, *crops])
    content = loaded[0].manifest.output.content
    expected = comparable(subject.original().run(pixels), content)
    print(f"{len(pixels)} views of {len(pictures)} pictures")  # noqa: T201 - a program
    first = None
    for artifact in loaded:
        scores = comparable(open_runner(artifact.model(), artifact.manifest.format).run(pixels), content)
        divergence, agrees = divergence_of(expected, scores), scores.argmax(axis=1) == expected.argmax(axis=1)
        base_divergence, base_agrees = first = (divergence, agrees) if first is None else first
        pairs, low_high = Pairs.of(agrees, base_agrees), mean_interval(divergence - base_divergence)
        print(  # noqa: T201
            f"{artifact.manifest.name}: KL {divergence.mean():.4f} "
            f"({divergence.mean() / base_divergence.mean() - 1:+.1%}, 95 % of the difference {low_high[0]:+.4f} to "
            f"{low_high[1]:+.4f}), agreement {agrees.mean():.2%}, gain {pairs.difference:+.2%} "
            f"(95 %: {pairs.difference_interval[0]:+.2%} to {pairs.difference_interval[1]:+.2%})"
        )


if __name__ == "__main__":
    main()
