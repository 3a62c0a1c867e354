"""Figures as JSON and as files."""

from dataclasses import replace

import altair as alt
import pytest
from PIL import Image

from warmup_lab.figures.figure import (
    Cell,
    Figure,
    as_picture,
    as_spec,
    notes_of,
    picture_frame,
    save_chart,
    save_figure,
)


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
    picture = as_picture(figure)
    legend, grid = picture["vconcat"]
    assert [cell["title"]["text"] for cell in grid["concat"]] == [["one"], ["three"], ["seven"]]
    assert grid["columns"] == 2
    assert len(legend["layer"]) == 3
    assert [{"x": 3, "y": 1, "of": "one"}] in picture["datasets"].values()


def test_picture_has_title_subtitle_and_caption(figure):
    cell = replace(figure.rows[0][0], title="What is seen " * 4, subtitle="What is drawn (nats)")
    picture = as_picture(replace(figure, rows=[[cell]], note="A note that is long enough for a second line. " * 2))
    (chart,) = picture["vconcat"][-1]["concat"]
    assert len(chart["title"]["text"]) == 2
    assert chart["title"]["subtitle"] == ["What is drawn (nats)"]
    assert " ".join(picture["title"]["text"]).startswith("Title. A note that is long")
    assert max(map(len, picture["title"]["text"])) <= 60, "one column has 330 pixels"


def test_caption_of_some_charts_has_their_sentences_once(figure):
    one, three = (replace(figure.rows[0][0], notes=notes) for notes in (("A.", "B."), ("B.", "C.")))
    whole = replace(figure, rows=[[one], [three]])
    assert whole.caption == "A. B. C. Note."
    assert (whole.caption_of([one]), whole.caption_of([three])) == ("A. B. Note.", "B. C. Note.")
    assert notes_of((True, "A."), (0, "B."), ([1], "C."), (True, "")) == ("A.", "C.")


def test_numbers_are_not_broken_over_two_lines(figure):
    """With `textwrap` alone, 10 and % come apart at some width, and t-interval at its hyphen."""
    text = "Lowest at the end with warmup of 10 % and a 95 % t-interval up to 1e-6 or so"
    cells = [replace(figure.rows[0][0], title="x" * pad + " " + text) for pad in range(12)]
    charts = as_picture(replace(figure, rows=[cells]))["vconcat"][-1]["concat"]
    for cell, chart in zip(cells, charts, strict=True):
        lines = chart["title"]["text"]
        assert not any(line.startswith("%") or line.endswith("-") for line in lines)
        assert " ".join(lines).replace("\N{NO-BREAK SPACE}", " ").strip() == cell.title.strip()


def test_page_can_make_the_picture_from_its_charts(figure):
    """The frame differs from the picture only in the charts, which it names."""
    frame = picture_frame(figure, [["a", "b"], ["c"]])
    charts = frame["vconcat"][-1]["concat"]
    assert [chart["chart"] for chart in charts] == ["a", "b", "c"]
    picture = as_picture(figure)
    cells = [cell for row in figure.rows for cell in row]
    for drawn, chart, cell in zip(picture["vconcat"][-1]["concat"], charts, cells, strict=True):
        own = {key: value for key, value in cell.spec.items() if key != "datasets"}
        assert drawn == own | {key: value for key, value in chart.items() if key != "chart"}
    assert {**picture, "vconcat": 0, "datasets": 0} == {**frame, "vconcat": 0, "datasets": 0}


def test_width_fits_a_column_of_a_paper(figure, tmp_path):
    """At 96 pixels an inch: 3.5 inches for one chart, 7.1 for several."""
    for name, rows, inches in (("one", figure.rows[1:], 3.6), ("three", figure.rows, 7.2)):
        save_figure(replace(figure, rows=rows), tmp_path / name)
        with Image.open(tmp_path / f"{name}.png") as image:
            assert inches - 0.9 < image.width / 300 < inches


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
