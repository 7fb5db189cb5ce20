"""The table of networks, and what the paper's metaparameters make of it."""

from __future__ import annotations

import pytest

from edge_squeeze.errors import UsageError
from edge_squeeze.models import weights
from edge_squeeze.networks.architecture import architecture
from edge_squeeze.networks.design import AS_IS, Architecture, Design
from edge_squeeze.networks.variants import VARIANTS, Conv, Fire, Metaparameters, Pool, generate, named


def fires(arch: Architecture) -> list[tuple[int, int, int]]:
    return [tuple(stage) for stage in arch.stages if isinstance(stage, Fire)]


def test_the_papers_metaparameters_generate_the_eight_fire_modules_of_1_0() -> None:
    numbers = Metaparameters(base_e=128, incr_e=128, pct_3x3=0.5, freq=2, squeeze_ratio=0.125)
    assert [tuple(numbers.fire(i)) for i in range(8)] == fires(architecture("squeezenet1.0"))


@pytest.mark.parametrize("variant", VARIANTS)
def test_each_row_is_what_its_metaparameters_generate(variant: str) -> None:
    row = VARIANTS[variant]
    assert generate(row.stages, row.metaparameters) == row.stages


@pytest.mark.parametrize(
    ("design", "expected"),
    [
        (Design(squeeze_ratio=0.5), [(64, 64, 64), (64, 64, 64), (128, 128, 128)]),
        (Design(pct_3x3=0.25), [(16, 96, 32), (16, 96, 32), (32, 192, 64)]),
        (Design(base_e=64, incr_e=10, freq=1), [(8, 32, 32), (9, 37, 37), (11, 42, 42)]),
    ],
)
def test_other_values_build_other_networks(design: Design, expected: list[tuple[int, int, int]]) -> None:
    assert fires(architecture("squeezenet1.0", design=design))[:3] == expected


def test_what_a_design_says_of_a_row_alone_changes_nothing() -> None:
    same = architecture("squeezenet1.0", design=Design(squeeze_ratio=0.125, base_e=128))
    assert same.stages == architecture("squeezenet1.0").stages


def test_stages_are_named_as_in_the_caffe_files() -> None:
    names = [name for name, _ in named([Conv(96, 7, 2), Pool(), Fire(1, 1, 1), Fire(1, 1, 1), Pool()])]
    assert names == ["conv1", "pool1", "fire2", "fire3", "pool3"]


@pytest.mark.parametrize(
    ("bypass", "expected"),
    [
        ("none", {}),
        ("simple", dict.fromkeys(("fire3", "fire5", "fire7", "fire9"), "simple")),
        ("complex", {f"fire{n}": "simple" if n % 2 else "complex" for n in range(2, 10)}),
    ],
)
@pytest.mark.parametrize("variant", ["squeezenet1.0", "squeezenet-composable"])
def test_bypasses_are_those_of_figure_2(variant: str, bypass: str, expected: dict[str, str]) -> None:
    assert architecture(variant, design=Design(bypass)).bypasses == expected


@pytest.mark.parametrize(
    ("variant", "options", "message"),
    [
        ("squeezenet1.0", {"design": Design(squeeze_ratio=0)}, "squeeze_ratio must be 0.0078125 to 1, got 0"),
        ("squeezenet1.0", {"design": Design(base_e=64, squeeze_ratio=0.01)}, "must be 0.015625 to 1, got 0.01"),
        ("squeezenet1.0", {"design": Design(pct_3x3=1.0)}, "pct_3x3 must be 0.0078125 to 0.992188, got 1.0"),
        ("squeezenet1.0", {"design": Design(squeeze_ratio=float("nan"))}, "got nan"),
        ("squeezenet1.0", {"design": Design(base_e=1)}, "base_e must be a whole number from 2 to 4096, got 1"),
        ("squeezenet1.0", {"design": Design(base_e=True)}, "base_e must be a whole number from 2 to 4096, got True"),
        ("squeezenet1.0", {"design": Design(incr_e=-1)}, "incr_e must be a whole number from 0"),
        ("squeezenet1.0", {"design": Design(freq=0)}, "freq must be a whole number from 1 to 4096, got 0"),
        ("squeezenet1.0", {"design": Design(base_e=4096, incr_e=4096, squeeze_ratio=1.0)}, "at most 100,000,000"),
        ("squeezenet1.0", {"design": Design("simpel")}, "Did you mean simple"),
        ("squeezenet1.0", {"design": Design("simple", freq=1)}, "bypass simple has no effect.*Use complex"),
        ("squeezenet1.0", {"design": Design(squeeze_ratio=2)}, "squeeze_ratio must be 0.0078125 to 1, got 2.$"),
        ("squeezenet1.0", {"input_size": (5000, 20)}, "got 5000 x 20. Below that, squeezenet1.0 has nothing left"),
        ("squeezenet1.0", {"input_size": 5000}, "input size must be 21 to 4096 pixels, got 5000 x 5000.$"),
        ("squeezenet1.0", {"input_size": 20}, "input size must be 21 to 4096 pixels, got 20 x 20"),
        ("squeezenet-composable", {"input_size": (28, 64)}, "input size must be 29 to 4096 pixels, got 28 x 64"),
        ("squeezenet-lab", {"input_size": 3}, "input size must be 4 to 4096"),
        ("squeezenet1.1", {"input_size": "any"}, "use squeezenet-mlt, squeezenet-composable, squeezenet-lab"),
        ("squeezenet-mlt", {"input_size": "all"}, "whole number of pixels, or height and width"),
    ],
)
def test_what_cannot_be_built_is_refused_with_what_can(variant: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        architecture(variant, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("variant", ["squeezenet-mlt", "squeezenet-composable", "squeezenet-lab"])
def test_variants_without_published_weights_say_what_to_give(variant: str) -> None:
    with pytest.raises(UsageError, match=r"no published weights of .*Give --weights FILE .*, or --weights random"):
        weights.resolve(architecture(variant), "imagenet")


@pytest.mark.parametrize("design", [Design("simple"), Design(squeeze_ratio=0.5)])
def test_published_weights_are_not_taken_for_another_design(design: Design) -> None:
    arch = architecture("squeezenet1.1", design=design)
    assert weights.default(arch) == "random"
    with pytest.raises(UsageError, match="for its own row"):
        weights.resolve(arch, "imagenet")


@pytest.mark.parametrize(("variant", "ratio"), [("squeezenet1.1", 0.125), ("squeezenet-lab", 0.25)])
def test_what_the_row_has_by_itself_is_no_difference(variant: str, ratio: float) -> None:
    arch = architecture(variant, design=Design("complex", squeeze_ratio=ratio, freq=2, base_e=64))
    assert arch.design == Design("complex", base_e=64)
    assert architecture(variant, design=Design(squeeze_ratio=ratio)) == architecture(variant)


def test_a_name_tells_what_differs() -> None:
    assert AS_IS.suffix == ""
    assert Design("complex", squeeze_ratio=0.5).suffix == "-bypass-complex-squeeze-ratio-0.5"
