"""The question and the records of a comparison."""

import json
import math

import numpy as np
import pytest
from fake_runs import NOISE, SEED_EFFECT, arm, failing, lr_line, table, two_arms

from warmup_lab.comparison.pairwise import compare
from warmup_lab.comparison.verdicts import AS_GOOD, FAVOURABLE, PHRASES, UNFAVOURABLE, Question, line_of
from warmup_lab.system.files import to_json


def test_every_value_of_a_verdict_has_a_phrase():
    reached = {"better", "worse", "equivalent", "different_within_margin", "inconclusive"}
    reached |= {"fails_more", "fails_less", "both_fail"}
    assert reached == set(PHRASES)
    assert reached - {"inconclusive", "both_fail"} == {*FAVOURABLE, *UNFAVOURABLE, *AS_GOOD}


@pytest.mark.parametrize("margin", [0.0, -1.0, math.nan, math.inf])
def test_a_margin_must_be_positive(margin):
    with pytest.raises(ValueError, match="must be positive"):
        compare(arm(SEED_EFFECT), Question("eval_loss", margin=margin))


def test_records_contain_no_nan():
    given = {"a": (np.float64(math.nan), np.int64(3)), "b": [math.inf, np.bool_(True), "x", None]}
    assert to_json(given) == {"a": [None, 3], "b": [None, True, "x", None]}
    comparison = compare(two_arms(NOISE, status=["diverged"] + ["completed"] * 7), Question("eval_loss", margin=0.1))
    assert json.loads(json.dumps(comparison.to_dict(), allow_nan=False))["verdicts"][0]["value"] == "reference"


@pytest.mark.parametrize(
    ("looks", "num_seeds", "planned", "reached"),
    [
        ((6, 12, 24), 5, (6, 12, 24), ()),
        ((6, 12, 24), 6, (6, 12, 24), (6,)),
        ((6, 12, 24), 11, (6, 12, 24), (6,)),
        ((6, 12, 24), 24, (6, 12, 24), (6, 12, 24)),
        ((6, 12, 24), 30, (6, 12, 24), (6, 12, 24)),
        (None, 9, (9,), (9,)),
    ],
)
def test_looks_that_are_planned_and_reached(looks, num_seeds, planned, reached):
    assert Question("eval_loss", looks=looks).looks_at(num_seeds) == (planned, reached)


def test_a_verdict_is_found_by_the_name_of_its_arm_or_an_alias():
    same = [arm(SEED_EFFECT + NOISE, 1, total=20, name=name) for name in "ab"]
    found = compare(table(arm(SEED_EFFECT, 2, total=20), *same), Question("eval_loss"))
    assert found.verdict("b") is found.verdict("a")
    with pytest.raises(KeyError):
        found.verdict("c")


def test_a_trend_that_could_not_be_tested_is_none():
    found = compare(table(*(failing(0, 8, w) for w in (0, 36, 72))), Question("eval_loss"))
    assert found.trend("failures") is None
    assert found.trend("lr50") is None
    mixed = compare(table(*(failing(n, 8, w) for n, w in ((4, 0), (1, 36), (0, 72)))), Question("eval_loss"))
    assert mixed.trend("failures").of == "failures"


def test_lines_are_found_by_name():
    runs = table(*(lr_line([1] * 6, (1e-3, 2e-3), w) for w in (0, 36)))
    lines = compare(runs, Question("eval_loss")).lr_lines
    assert line_of(lines, "warmuplinear-w36") is lines[1]
