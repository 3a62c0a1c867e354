"""The figure of learning rate and warmup together."""

import pytest
from fake_arms import failures, make_arm, metric
from report_files import data_rows

from warmup_lab.figures.layout import make_layout
from warmup_lab.figures.learning_rate import (
    heatmap_table,
    is_sparse,
    largest_lr_table,
    learning_rate_figure,
    seen_best,
)

ARMS = [
    make_arm(0, metrics={"eval_loss": metric(0.5)}),
    make_arm(10, metrics={"eval_loss": metric(0.3)}),
    make_arm(0, lr=1e-2, failed=failures(6, 6), num_learned=0, metrics={"eval_loss": metric(None)}),
    make_arm(10, lr=1e-2, failed=failures(3, 6), num_learned=3, metrics={"eval_loss": metric(0.4)}),
]


def largest(warmup_steps, lr, *, at_edge=False):
    key = {name: ARMS[0][name] for name in ("scheduler", "warmup", "setting", "total_steps")}
    return key | {"warmup_steps": warmup_steps, "lr": lr, "at_edge": at_edge, "tried": [1e-3, 1e-2]}


BEST = {"metric": "eval_loss", "arm": "warmuplinear-w10 lr=0.001"}


def test_heatmap_has_value_and_failures_of_each_arm():
    table = heatmap_table(make_layout(ARMS), "eval_loss")
    assert [(row["length"], row["lr"], row["value"], row["failed"]) for row in table] == [
        (0, 1e-3, 0.5, ""),
        (1, 1e-3, 0.3, ""),
        (0, 1e-2, None, "6/6"),
        (1, 1e-2, 0.4, "3/6"),
    ]


def test_arm_whose_runs_mostly_failed_is_grey_and_never_the_best():
    """Overfitted runs end above the loss of guessing, so an arm that only guesses has the smallest loss."""
    arms = [
        make_arm(0, metrics={"eval_loss": metric(1.2)}),
        make_arm(0, lr=1e-2, metrics={"eval_loss": metric(0.69)}, failed=failures(4, 6), num_learned=2),
    ]
    table = heatmap_table(make_layout(arms), "eval_loss")
    assert [row["usable"] for row in table] == [True, False]
    assert seen_best(table, "eval_loss") == "Lowest at lr 0.001 with no warmup: 1.2"
    assert seen_best(table[1:], "eval_loss") == "Most runs failed at each learning rate"
    (_, filled, *_) = learning_rate_figure([], BEST, make_layout(arms)).rows[0][0].spec["layer"]
    assert filled["transform"] == [{"filter": "isValid(datum.value) && datum.usable"}]


def test_schedule_without_warmup_is_the_column_of_0_updates():
    cold = [make_arm(0, scheduler="constantlr", lr=lr) for lr in (1e-3, 1e-2)]
    warm = [make_arm(10, scheduler="warmupconstant", lr=lr) for lr in (1e-3, 1e-2)]
    ramp = make_arm(0, scheduler="exponentialramp", lr=0.1)
    assert {row["kind"] for row in heatmap_table(make_layout([*cold, *warm]), "eval_loss")} == {"warmupconstant"}
    figure = learning_rate_figure([], BEST | {"arm": cold[0]["name"]}, make_layout([*cold, *warm, ramp]))
    assert len(figure.rows[0]) == 1, "a ramp has one lr"


@pytest.mark.parametrize(
    ("name", "values", "text"),
    [
        ("eval_loss", (0.5, 0.3), "Lowest at lr 0.001 with 10 % warmup: 0.3"),
        ("eval_accuracy", (0.5, 0.3), "Highest at lr 0.001 with no warmup: 0.5"),
    ],
)
def test_title_names_the_best(name, values, text):
    arms = [make_arm(w, metrics={name: metric(value)}) for w, value in zip((0, 10), values, strict=True)]
    assert seen_best(heatmap_table(make_layout(arms), name), name) == text


def test_title_names_the_recommended_arm_first_where_another_is_the_lowest():
    """The frame is around the recommended one, which may need less warmup, or fail less often."""
    table = heatmap_table(make_layout(ARMS), "eval_loss")
    assert seen_best(table, "eval_loss", ARMS[0]["name"]) == (
        "Recommended: lr 0.001 with no warmup. Lowest at lr 0.001 with 10 % warmup: 0.3"
    )
    assert seen_best(table, "eval_loss", ARMS[1]["name"]) == "Lowest at lr 0.001 with 10 % warmup: 0.3"


def test_before_a_run_has_ended_there_is_no_figure():
    """Seen after an interruption: a heatmap in which every cell said `none`."""
    arms = [make_arm(0, lr=lr, failed=failures(0, 0), metrics={"eval_loss": metric(None)}) for lr in (1e-3, 1e-2)]
    assert not learning_rate_figure([], BEST | {"arm": None}, make_layout(arms)).rows


def test_the_caption_names_only_what_is_drawn():
    learned = [make_arm(0, lr=lr, metrics={"eval_loss": metric(0.5)}) for lr in (1e-3, 1e-2)]
    figure = learning_rate_figure([], BEST | {"arm": None}, make_layout(learned))
    assert figure.caption == "A cell is the mean of all seeds. Darker is better."
    figure = learning_rate_figure([largest(0, None), largest(10, 1e-2, at_edge=True)], BEST, make_layout(ARMS))
    (heatmap,), (limit,) = figure.rows
    assert heatmap.notes[1:] == (
        "Below it: the runs that failed, such as 2/8.", "Darker is better.", "Grey: most runs failed.",
        "Frame: the recommended one.",
    )  # fmt: skip
    assert limit.notes == (
        "Arrow: no larger learning rate was tried.",
        "Cross: some run failed at each learning rate.",
    )


def test_largest_lr_joins_the_schedule_without_warmup_to_the_one_with():
    arms = [
        make_arm(w, scheduler=name, lr=lr)
        for w, name in ((0, "constantlr"), (10, "warmupconstant"))
        for lr in (1e-3, 1e-2)
    ]
    limits = [largest(0, 1e-3) | {"scheduler": "constantlr"}, largest(10, 1e-2) | {"scheduler": "warmupconstant"}]
    figure = learning_rate_figure(limits, BEST | {"arm": None}, make_layout(arms))
    assert figure.lines == ["warmupconstant"]


def test_ramps_alone_are_no_grid():
    """A ramp passes through all rates up to its last one, so `lowest at lr 0.1` would say nothing."""
    ramps = [make_arm(0, scheduler="exponentialramp", lr=0.1, metrics={"eval_loss": metric(0.5)})]
    assert learning_rate_figure([], BEST, make_layout(ramps)).rows == []


def test_title_without_runs():
    arms = [make_arm(0, failed=failures(0, 0), num_learned=0)]
    assert seen_best(heatmap_table(make_layout(arms), "eval_loss"), "eval_loss") == "No run ended"


def test_random_search_is_sparse():
    """20 arms of a random search have 20 x 20 cells; a full grid has a cell per arm."""
    drawn = [{"lr": 1e-3 * (1 + i), "length": i} for i in range(20)]
    grid = [{"lr": 1e-3 * (1 + i % 4), "length": i // 4} for i in range(20)]
    assert is_sparse(drawn)
    assert not is_sparse(grid)


def test_random_search_is_drawn_as_points_with_the_best_framed():
    arms = [
        make_arm(w, lr=lr, metrics={"eval_loss": metric(lr)}) for w, lr in enumerate((1e-4, 3e-4, 1e-3, 3e-3, 1e-2))
    ]
    figure = learning_rate_figure([], BEST | {"arm": arms[0]["name"]}, make_layout(arms))
    marks = [layer["mark"]["type"] for layer in figure.rows[0][0].spec["layer"]]
    assert marks == ["circle", "point", "point"]
    assert figure.rows[0][0].spec["layer"][2]["transform"][0]["filter"] == f"(datum.arm === '{arms[0]['name']}')"


def test_largest_lr_has_a_row_per_warmup():
    table = largest_lr_table([largest(0, None), largest(10, 1e-2, at_edge=True)], make_layout(ARMS))
    assert [(row["mean"], row["at_edge"], row["cross"], row["learned"]) for row in table] == [
        (None, False, True, "not all at any lr"),
        (1e-2, True, False, "all"),
    ]
    assert [row["x"] for row in table] == pytest.approx([0, 1])
    assert [row["line"] for row in table] == ["warmuplinear"] * 2


def test_figure_draws_heatmap_and_largest_lr():
    figure = learning_rate_figure([largest(0, None), largest(10, 1e-2, at_edge=True)], BEST, make_layout(ARMS))
    assert [[cell.title for cell in row] for row in figure.rows] == [
        ["Lowest at lr 0.001 with 10 % warmup: 0.3"],
        ["Every run learned up to lr 0.01, with some warmups at no lr"],
    ]
    assert figure.rows[0][0].subtitle == "Final evaluation loss (nats), mean of all seeds"
    rows = data_rows(figure.rows[0][0].spec)
    assert [row["text"] for row in rows] == ["0.5", "0.3", "none", "0.4"]
    assert [row["ink"] for row in rows] == ["#101820", "#fdfdfd", "#101820", "#101820"], "light text on dark cells"


def test_heatmap_of_the_recommended_kind_is_first():
    cosine = [arm | {"scheduler": "warmupcosine", "name": arm["name"].replace("linear", "cosine")} for arm in ARMS]
    best = BEST | {"arm": "warmupcosine-w10 lr=0.001"}
    figure = learning_rate_figure([], best, make_layout([*ARMS, *cosine]))
    assert [cell.subtitle.rpartition(" · ")[2] for cell in figure.rows[0]] == ["warmupcosine", "warmuplinear"]


def test_largest_lr_is_left_out_if_no_lr_learned():
    figure = learning_rate_figure([largest(0, None), largest(10, None)], BEST, make_layout(ARMS))
    assert len(figure.rows) == 1
    assert figure.lines == []


def test_figure_of_one_learning_rate_is_empty():
    assert learning_rate_figure([], BEST, make_layout(ARMS[:2])).rows == []
