"""The figure of a recommendation: numbers by hand."""

import pytest

from warmup_lab.figures.recommend import grid_table, recommend_figure, seed_table, seen_grid, seen_ramp

GRID = [
    {"lr": 1e-3, "start": "without", "mean": 0.4, "failed": {"count": 0, "total": 2}, "values": {"0": 0.3, "1": 0.5}},
    {"lr": 1e-3, "start": "with", "mean": 0.2, "failed": {"count": 0, "total": 2}, "values": {"0": 0.2, "1": 0.2}},
    {"lr": 2e-3, "start": "with", "mean": 0.69, "failed": {"count": 1, "total": 1}, "values": {"0": 0.69}},
    {"lr": 4e-3, "start": "with", "mean": None, "failed": {"count": 0, "total": 0}, "values": {}},
]
SECTION = {
    "grid": GRID, "title": ["final evaluation loss", "nats"], "ramp": {"lr": 0.004},
    "choice": {"lr": 1e-3, "start": "with", "metric": "eval_loss", "lrs": [1e-3, 2e-3], "all_failed": False},
    "ramp_curves": [{"seed": 0, "lr": 1e-4, "loss": 0.7}, {"seed": 0, "lr": 0.01, "loss": 9.0}],
}  # fmt: skip


def test_a_point_per_rate_and_start_names_its_failures():
    assert [(row["lr"], row["failed"]) for row in grid_table(SECTION)] == [(1e-3, ""), (1e-3, ""), (2e-3, "1/1")]
    assert [row["value"] for row in seed_table(SECTION)] == [0.3, 0.5, 0.2, 0.2, 0.69]


def test_two_starts_at_one_lr_are_side_by_side():
    """1.5 % of the axis to the left and to the right: the grid spans a factor of 4."""
    shift = 4**0.015
    expected = [1e-3 / shift, 1e-3 * shift, 2e-3 * shift]
    assert [row["x"] for row in grid_table(SECTION)] == pytest.approx(expected)
    assert sorted({row["x"] for row in seed_table(SECTION)}) == pytest.approx(expected)


def test_titles_say_what_is_seen():
    assert seen_grid(SECTION) == "Best of 2 rates: lr 0.001"
    assert seen_grid(SECTION | {"choice": {"all_failed": True}}) == "Most runs failed at every lr"
    assert seen_ramp(SECTION) == "The loss breaks at lr 0.004"
    unbroken = {"lr": None, "seeds": [{"break_lr": None}, {"break_lr": None}]}
    assert seen_ramp({"ramp": unbroken}) == "No break is visible on the ramps"
    one_broken = {"lr": None, "seeds": [{"break_lr": None}, {"break_lr": 0.02}, {"break_lr": None}]}
    assert seen_ramp({"ramp": one_broken}) == "The loss breaks on 1 of 3 ramps only"


@pytest.mark.parametrize(
    ("section", "num_charts"),
    [
        (None, 0),
        (SECTION, 2),
        (SECTION | {"choice": None, "grid": []}, 1),
        (SECTION | {"ramp": {"lr": None, "seeds": []}}, 2),
    ],
)
def test_charts_are_valid_and_drawn_only_where_there_are_numbers(section, num_charts):
    figure = recommend_figure(section)
    cells = [cell for row in figure.rows for cell in row]
    assert len(cells) == num_charts
    assert all(cell.spec["layer"] for cell in cells)


def test_a_broken_ramp_does_not_hide_the_fall_before_it():
    """The axis ends as far above the first loss as the lowest loss, or a tenth, lies below it."""
    ((_, ramps),) = recommend_figure(SECTION).rows
    assert ramps.spec["layer"][0]["encoding"]["y"]["scale"]["domain"] == pytest.approx([0.63, 0.77])


def test_captions_name_only_what_is_drawn():
    (grid, ramps) = recommend_figure(SECTION).rows[0]
    for cell, words in ((grid, ("Lines: means", "Hollow", "Dashed")), (ramps, ("Ramps", "Dashed"))):
        assert all(note.startswith(word) for note, word in zip(cell.notes, words, strict=True))
    unbroken = recommend_figure(SECTION | {"ramp": {"lr": None, "seeds": []}, "choice": None, "grid": []})
    assert unbroken.caption == "Ramps: the lr grows at every update; a line is one seed."
    assert recommend_figure(None).caption == ""


def test_labels_of_failures_at_one_lr_are_on_different_sides():
    """That without warmup ends at its mark and that with warmup begins there: none lies on the other, or on a break."""
    failed = {"failed": {"count": 3, "total": 3}, "values": {"0": 0.69}}
    grid = [row | failed for row in GRID[:2]] + [GRID[2]]
    spec = recommend_figure(SECTION | {"grid": grid}).rows[0][0].spec
    texts = [layer for layer in spec["layer"] if "dy" in layer["mark"]]
    assert [layer["mark"]["align"] for layer in texts] == ["right", "left"]
    labels = [
        (row["line"], row["lr"], row["failed"]) for layer in texts for row in spec["datasets"][layer["data"]["name"]]
    ]
    assert labels == [
        ("without warmup", 1e-3, "3/3"), ("with warmup", 1e-3, "3/3"), ("with warmup", 2e-3, "1/1"),
    ]  # fmt: skip
