"""Parameters, MACs and sizes: from the rows alone, as the paper states them and as Keras counts them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from edge_squeeze.models.original import load_tensorflow
from edge_squeeze.networks import arithmetic, builder
from edge_squeeze.networks.architecture import architecture
from edge_squeeze.networks.design import BYPASSES, Architecture, Design
from edge_squeeze.networks.variants import VARIANTS

# The column "#parameter before pruning" of the paper's Table 1.
TABLE_1 = {
    "conv1": 14_208, "fire2": 11_920, "fire3": 12_432, "fire4": 45_344, "fire5": 49_440, "fire6": 104_880,
    "fire7": 111_024, "fire8": 188_992, "fire9": 197_184, "conv10": 513_000,
}  # fmt: skip
DESIGNS = (Design(), Design(squeeze_ratio=0.5), Design(base_e=64, incr_e=32, pct_3x3=0.25, freq=3))


def test_a_squeeze_saves_what_the_paper_says() -> None:
    assert arithmetic.conv_parameters(3, 50, 100) == 45_100
    assert arithmetic.conv_parameters(1, 50, 10) + arithmetic.conv_parameters(3, 10, 100) == 9_610


def test_layers_of_1_0_have_the_parameters_of_table_1() -> None:
    counts = {layer.name: layer.parameters for layer in arithmetic.layers(architecture("squeezenet1.0"))}
    assert {name: count for name, count in counts.items() if count} == TABLE_1


@pytest.mark.parametrize(("ratio", "megabytes"), [(0.125, 4.8), (0.75, 19)])
def test_models_of_other_squeeze_ratios_are_as_large_as_section_5_says(ratio: float, megabytes: float) -> None:
    count = arithmetic.parameters(architecture("squeezenet1.0", design=Design(squeeze_ratio=ratio)))
    # The paper does not say what a megabyte is: 4.76 MiB and 4.99 MB, 18.5 MiB and 19.4 MB.
    assert 4 * count / 2**20 == pytest.approx(megabytes, rel=0.03)


@pytest.mark.parametrize("bypass", BYPASSES)
@pytest.mark.parametrize("design", DESIGNS, ids=lambda design: design.suffix)
@pytest.mark.parametrize("variant", VARIANTS)
def test_parameters_and_sizes_are_those_that_keras_counts(variant: str, design: Design, bypass: str) -> None:
    load_tensorflow()
    arch = architecture(variant, 7, (61, 90), design=Design(**{**design.record(), "bypass": bypass}))
    network = builder.build(arch)
    assert arithmetic.parameters(arch) == network.count_params()
    assert arithmetic.macs(arch) == macs_of(network)
    ends = {"conv": "{}", "pool": "{}", "fire": "{}_bypass" if bypass != "none" else "{}_concat"}
    for layer in list(arithmetic.layers(arch))[:-1]:
        name = ends[layer.name[:4]].format(layer.name)
        end = name if name in [keras_layer.name for keras_layer in network.layers] else f"{layer.name}_concat"
        assert network.get_layer(end).output.shape[1:] == layer.output


def macs_of(network: object) -> int:
    """Multiply-accumulates of the convolutions of a Keras model, from the shapes of its layers."""
    macs = 0
    for layer in network.layers:  # type: ignore[attr-defined]
        if type(layer).__name__ == "Conv2D":
            height, width, channels, filters = layer.kernel.shape
            _, rows, columns, _ = layer.output.shape
            macs += height * width * channels * filters * rows * columns
    return macs


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_smallest_input_is_the_smallest_that_keras_can_pool(variant: str) -> None:
    load_tensorflow()
    smallest = arithmetic.smallest_input(VARIANTS[variant].stages)
    assert builder.build(architecture(variant, input_size=smallest)).output_shape == (None, VARIANTS[variant].classes)
    if smallest > 1:
        with pytest.raises(ValueError, match=r"[Nn]egative|not positive|zero"):
            builder.build(Architecture(variant, 10, (smallest - 1, smallest - 1), 0.5))


def test_nothing_of_it_needs_tensorflow() -> None:
    code = (
        "import sys; from edge_squeeze.networks import arithmetic, architecture; "
        "print(arithmetic.parameters(architecture.architecture('squeezenet1.0'))); "
        "assert not {'tensorflow', 'keras', 'numpy'} & sys.modules.keys()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "1248424\n"
