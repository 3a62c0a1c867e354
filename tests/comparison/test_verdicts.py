"""The question and the records of a comparison."""

import json
import math

import numpy as np
import pytest
from fake_runs import NOISE, SEED_EFFECT, arm, two_arms

from warmup_lab.comparison.pairwise import compare
from warmup_lab.comparison.verdicts import PHRASES, Question
from warmup_lab.system.files import to_json


def test_every_value_of_a_verdict_has_a_phrase():
    reached = {"better", "worse", "equivalent", "different_within_margin", "inconclusive"}
    reached |= {"fails_more", "fails_less", "diverges_more", "diverges_less"}
    assert reached == set(PHRASES)


@pytest.mark.parametrize("margin", [0.0, -1.0, math.nan, math.inf])
def test_a_margin_must_be_positive(margin):
    with pytest.raises(ValueError, match="must be positive"):
        compare(arm(SEED_EFFECT), Question("loss", margin=margin))


def test_records_contain_no_nan():
    given = {"a": (np.float64(math.nan), np.int64(3)), "b": [math.inf, np.bool_(True), "x", None]}
    assert to_json(given) == {"a": [None, 3], "b": [None, True, "x", None]}
    comparison = compare(two_arms(NOISE, status=["diverged"] + ["completed"] * 7), Question("loss", margin=0.1))
    assert json.loads(json.dumps(comparison.to_dict(), allow_nan=False))["verdicts"][0]["value"] == "reference"
