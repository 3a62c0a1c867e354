"""The figure of schedules."""

from types import SimpleNamespace

import pytest

from warmup_lab.figures.schedule import schedule_chart, schedule_table, small_chart, text_bars


def make_plan(multipliers, warmup_steps=1, lr=0.1):
    """What the figure reads of a plan."""
    config = SimpleNamespace(optimizer=SimpleNamespace(lr=lr))
    return SimpleNamespace(
        total_steps=len(multipliers), warmup_steps=warmup_steps, multiplier=multipliers.__getitem__, config=config
    )


@pytest.fixture
def table():
    return schedule_table({"a": make_plan([0.0, 1.0, 0.5]), "b": make_plan([1.0, 0.0], warmup_steps=0, lr=2.0)})


def test_table_has_a_row_per_update(table):
    assert table.to_numpy().tolist() == [
        [0, 0.0, "a", 1],
        [1, 0.1, "a", 1],
        [2, 0.05, "a", 1],
        [0, 2.0, "b", 0],
        [1, 0.0, "b", 0],
    ]


def test_chart_has_a_panel_per_schedule(table):
    chart = schedule_chart(table, "Two schedules").to_dict()
    assert chart["facet"]["sort"] == ["a", "b"]
    assert chart["title"] == "Two schedules"


def test_chart_of_one_schedule_is_titled_by_its_name(table):
    chart = schedule_chart(table[table["schedule"] == "a"]).to_dict()
    assert chart["title"] == "a"
    assert "facet" not in chart


def test_small_chart_reaches_from_zero_to_the_peak(table):
    chart = small_chart(table[table["schedule"] == "b"]).to_dict()
    assert chart["encoding"]["y"]["scale"]["domain"] == [0, 2.0]
    assert chart["encoding"]["y"]["axis"] is None


def test_text_bars_by_hand():
    assert text_bars([0.0, 0.5, 1.0, 0.5, 0.0]) == " ▄█▄ "
    assert text_bars([1.0] * 1000, width=10) == "█" * 10
    assert text_bars([1.0]) == "█"
