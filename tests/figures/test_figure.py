"""Figures as JSON and as files."""

import altair as alt
import pytest
from PIL import Image

from warmup_lab.figures.figure import Cell, Figure, as_picture, as_spec, save_chart, save_figure


def make_cell(title: str) -> Cell:
    data = alt.InlineData(values=[{"x": len(title), "y": 1, "of": title}])
    return Cell(title, alt.Chart(data, height=50).mark_point().encode(x="x:Q", y="y:Q"))


@pytest.fixture
def figure():
    return Figure("name", "Title", "Note.", [[make_cell("one"), make_cell("three")], [make_cell("seven")]], ["a", "b"])


def test_spec_for_the_page_has_the_width_of_its_container(figure):
    spec = as_spec(figure.rows[0][0])
    assert spec["width"] == "container"
    assert spec["$schema"] == alt.SCHEMA_URL
    assert "title" not in spec


def test_picture_joins_all_charts_and_their_data(figure):
    legend, grid = as_picture(figure)["vconcat"]
    titles = [[cell["title"] for cell in row["hconcat"]] for row in grid["concat"]]
    assert titles == [["one", "three"], ["seven"]]
    assert len(legend["layer"]) == 3
    assert [{"x": 3, "y": 1, "of": "one"}] in as_picture(figure)["datasets"].values()


def test_picture_of_one_line_has_no_legend(figure):
    single = Figure("name", "Title", "Note.", figure.rows, ["a"])
    assert len(as_picture(single)["vconcat"]) == 1


def test_stacked_rows_are_columns(figure):
    stacked = Figure("name", "Title", "Note.", figure.rows, [], stacked=True)
    (grid,) = as_picture(stacked)["vconcat"]
    assert [len(column["vconcat"]) for column in grid["concat"]] == [2, 1]


def test_page_and_picture_share_one_spec(figure):
    cell = figure.rows[0][0]
    before = cell.spec["datasets"].copy()
    as_picture(figure)
    assert cell.spec["datasets"] == before


def test_figure_is_saved_as_svg_and_png(figure, tmp_path):
    save_figure(figure, tmp_path / "name")
    assert (tmp_path / "name.svg").read_text().startswith("<svg")
    with Image.open(tmp_path / "name.png") as image:
        assert image.width > 1000
    assert {path.name for path in tmp_path.iterdir()} == {"name.svg", "name.png"}


def test_chart_is_saved_by_its_suffix(figure, tmp_path):
    chart = figure.rows[0][0].chart
    save_chart(chart, tmp_path / "chart.svg")
    save_chart(chart, tmp_path / "chart.png")
    assert (tmp_path / "chart.svg").read_text().startswith("<svg")
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")
