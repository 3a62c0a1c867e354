"""Which arm each one is compared with, and which arms differ in one thing only."""

import pytest
from fake_runs import NOISE, SEED_EFFECT, arm, runs_of_shapes, table, two_arms, verdict_on

from warmup_lab.comparison.arms import groups_over_length, groups_over_lr
from warmup_lab.comparison.pairwise import compare
from warmup_lab.comparison.run_table import read_runs
from warmup_lab.comparison.verdicts import Question


@pytest.mark.parametrize(
    ("warmups", "total", "reference"),
    [
        ((0, 36, 72), 360, 36),
        ((0, 50, 94, 100), 939, 94),  # ceil(93.9)
        ((0, 50, 100, 200), 939, 100),  # 10.6 %
        ((0, 2, 3), 25, 3),  # ceil(2.5)
        ((0, 2, 4), 25, 2),  # floor, where ceil is not there
        ((0, 1), 8, 1),
        ((33, 39), 360, 33),
        ((0, 18, 72), 360, None),
        ((0, 2), 10, None),
    ],
)
def test_the_reference_has_ten_percent_or_the_nearest_length(warmups, total, reference):
    runs = table(*(arm(SEED_EFFECT + warmup * NOISE, warmup, total=total, name=str(warmup)) for warmup in warmups))
    verdicts = compare(runs, Question("eval_loss")).verdicts
    assert {verdict.reference for verdict in verdicts} == {None if reference is None else str(reference)}
    assert {verdict.arm for verdict in verdicts if verdict.value == "reference"} == {str(reference)} - {"None"}


def test_without_a_ten_percent_arm_there_is_no_verdict_and_the_reason_lists_the_warmups():
    comparison = compare(table(arm(SEED_EFFECT, 0), arm(SEED_EFFECT + NOISE, 180)), Question("eval_loss"))
    assert {verdict.value for verdict in comparison.verdicts} == {"no_reference"}
    assert (
        "about 10 % (36 updates) was not tried with otherwise equal settings; tried: 0, 180"
        in comparison.verdicts[0].reason
    )
    assert comparison.headline.startswith("Nothing can be concluded about 10 % warmup")


def test_every_scheduler_lr_and_setting_has_its_own_reference():
    shapes = [("warmuplinear", 1e-3), ("warmuplinear", 3e-3), ("warmupcosine", 1e-3)]
    parts = [
        arm(SEED_EFFECT + index + warmup * NOISE, warmup, lr=lr, scheduler=scheduler)
        for index, (scheduler, lr) in enumerate(shapes)
        for warmup in (0, 36)
    ]
    references = {v.arm: v.reference for v in compare(table(*parts), Question("eval_loss")).verdicts}
    assert references["warmupcosine-w0-lr0.001"] == "warmupcosine-w36-lr0.001"
    assert references["warmuplinear-w0-lr0.003"] == "warmuplinear-w36-lr0.003"
    adam = [arm(SEED_EFFECT + w * NOISE, w, name=f"adam-{w}", optimizer="adamw") for w in (0, 36)]
    lion = [arm(SEED_EFFECT - w * NOISE, w, name=f"lion-{w}", optimizer="lion") for w in (0, 36)]
    assert compare(table(*adam, *lion), Question("eval_loss")).verdict("lion-0").reference == "lion-36"


def test_there_is_no_reference_if_two_arms_could_be_it():
    runs = table(*(arm(SEED_EFFECT + index * NOISE, 36, name=f"decay-{index}") for index in range(2)))
    assert "set compare.reference" in compare(runs, Question("eval_loss")).verdicts[0].reason


def test_constantlr_is_compared_with_warmupconstant():
    runs = table(arm(SEED_EFFECT, 36, scheduler="warmupconstant"), arm(SEED_EFFECT + NOISE, 0, scheduler="constantlr"))
    assert verdict_on(runs, "constantlr-w0-lr0.001").reference == "warmupconstant-w36-lr0.001"


def test_a_reference_may_be_stated_and_an_unknown_one_lists_the_arms():
    runs = two_arms(NOISE + 0.05)
    assert verdict_on(runs, "warmuplinear-w36-lr0.001", reference="warmuplinear-w0-lr0.001").value == "better"
    with pytest.raises(ValueError, match=r"'w10'; the arms are: warmuplinear-w36-lr0\.001, warmuplinear-w0"):
        compare(runs, Question("eval_loss", reference="w10"))


def test_the_linear_shape_is_the_reference_of_every_shape():
    verdicts = compare(runs_of_shapes(), Question("eval_loss")).verdicts
    assert {verdict.reference for verdict in verdicts} == {"linear-w10"}


def test_an_arm_without_warmup_belongs_to_the_length_group_of_every_shape():
    arms = read_runs(runs_of_shapes(), "eval_loss").arms
    names = [[arms[index].name for index in group] for group in groups_over_length(arms)]
    assert names == [["none-w0", "linear-w10", "linear-w20"], ["none-w0", "sqrt-w10", "sqrt-w20"]]


def test_arms_that_differ_only_in_lr_are_one_group_smallest_first():
    arms = read_runs(table(*(arm(SEED_EFFECT, w, lr=lr) for lr in (3e-3, 1e-3) for w in (0, 36))), "eval_loss").arms
    assert [[arms[index].lr for index in group] for group in groups_over_lr(arms)] == [[1e-3, 3e-3]] * 2
