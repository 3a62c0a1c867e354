"""Styles of lines."""

import pytest
from program import python

from warmup_lab.figures.palette import style


def test_lines_differ_without_colour():
    styles = [style(index) for index in range(21)]
    assert len({(tuple(dash), marker) for _, dash, marker in styles[:7]}) == 7
    assert len({(colour, marker) for colour, _, marker in styles}) == 21


def test_the_first_49_lines_differ():
    styles = [style(index) for index in range(49)]
    assert len({(colour, tuple(dash), marker) for colour, dash, marker in styles}) == 49


@pytest.mark.parametrize("module", ["altair", "warmup_lab.cli"])
def test_palette_loads_neither_altair_nor_the_command(module):
    assert python(f"import sys, warmup_lab.figures.palette; print({module!r} in sys.modules)") == "False"
