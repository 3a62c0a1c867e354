"""`result.json`: what counts as learned."""

from __future__ import annotations

import math

import numpy as np

from warmup_lab.runs.result import failed_to_learn


def test_failed_to_learn_is_judged_by_the_median_of_the_last_tenth():
    entropy = math.log(2)
    falling = np.concatenate([np.full(90, entropy), np.full(10, 0.6)])
    assert not failed_to_learn(falling, entropy, 100)
    assert failed_to_learn(np.full(100, 0.96 * entropy), entropy, 100)
    assert not failed_to_learn(np.full(100, 0.94 * entropy), entropy, 100)
    assert failed_to_learn(falling[:99], entropy, 100), "a run that ended early did not learn"
