"""Conversion of a specification to pictures, in this process and in one of its own."""

import io
from typing import Any

import pytest
from PIL import Image

from warmup_lab.figures.convert import convert, convert_here


def spec_of(num_characters: int) -> dict[str, Any]:
    """A chart of one point, in at least so many characters."""
    chart = {
        "mark": "point",
        "width": 30,
        "height": 30,
        "data": {"values": [{"x": 1, "note": "é" * num_characters}]},
    }
    return chart | {"encoding": {"x": {"field": "x", "type": "quantitative"}}}


@pytest.fixture
def large() -> dict[str, Any]:
    return spec_of(1_000_000)


def test_a_large_chart_has_the_same_pictures_as_in_this_process(large):
    assert convert(large) == convert_here(large)


def test_no_module_of_the_working_directory_is_imported(large, tmp_path, monkeypatch):
    (tmp_path / "vl_convert.py").write_text("open('imported', 'w')")
    monkeypatch.chdir(tmp_path)
    convert(large)
    assert not (tmp_path / "imported").exists()


def test_without_another_process_it_is_converted_here(large, monkeypatch, capfd):
    monkeypatch.setattr("sys.executable", "false")
    assert convert(large)[0].startswith("<svg")
    assert capfd.readouterr().err == ""


def test_the_png_has_300_dots_per_inch():
    svg, png = convert(spec_of(1))
    width = float(svg.partition('width="')[2].partition('"')[0])
    assert Image.open(io.BytesIO(png)).width == pytest.approx(width * 300 / 96, abs=1)
