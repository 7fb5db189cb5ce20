"""The package's public names: handed on lazily, and where documented modules moved, by their old names."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys

import pytest

import edge_squeeze
from edge_squeeze import api
from edge_squeeze.errors import UsageError
from edge_squeeze.networks.design import Design
from edge_squeeze.pictures import preprocessing, presets

LAZY = """
import sys, edge_squeeze
edge_squeeze.__version__
print('edge_squeeze.api' in sys.modules, 'numpy' in sys.modules)
"""


def test_the_public_functions_are_those_of_the_api() -> None:
    public = [name for name in edge_squeeze.__all__ if name != "__version__"]
    assert all(getattr(edge_squeeze, name) is getattr(api, name) for name in public)
    assert set(edge_squeeze.__all__) <= set(dir(edge_squeeze))
    with pytest.raises(AttributeError, match="no attribute 'no_such_name'"):
        _ = edge_squeeze.no_such_name


def test_importing_the_package_loads_none_of_them() -> None:
    done = subprocess.run([sys.executable, "-c", LAZY], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_documented_modules_that_moved_still_import() -> None:
    from edge_squeeze import conventions, preprocessing as moved  # type: ignore[attr-defined]

    assert conventions is presets
    assert moved is preprocessing


def test_a_design_in_one_value_is_still_taken_and_says_what_to_give_instead() -> None:
    with pytest.warns(DeprecationWarning, match="design= is deprecated: give bypass, base_e") as warned:
        old = edge_squeeze.build("squeezenet-lab", weights="random", design=Design("complex", base_e=16))
    assert warned[0].filename == __file__
    new = edge_squeeze.build("squeezenet-lab", weights="random", bypass="complex", base_e=16)
    assert old.count_params() == new.count_params()
    with pytest.raises(UsageError, match=r"design= and base_e say the same thing\. Leave design out"):
        edge_squeeze.build("squeezenet-lab", design=Design("complex"), base_e=16)


def test_every_argument_is_documented() -> None:
    for name in edge_squeeze.__all__[1:]:
        function = getattr(edge_squeeze, name)
        arguments = set(inspect.signature(function).parameters)
        named = re.findall(r"(?m)^        ((?:\w+, )*\w+): ", (function.__doc__ or "").partition("Args:")[2])
        assert {word for words in named for word in words.split(", ")} >= arguments, name
