"""Numbers of updates: a share of a run, and the updates of an epoch."""

import pytest

from warmup_lab.config.steps import ceil_share, num_steps_per_epoch


@pytest.mark.parametrize(
    ("share", "total", "expected"), [(0.1, 70, 7), (0.1, 71, 8), (0.07, 100, 7), (0, 9, 0), (1, 9, 9), (0.001, 9, 1)]
)
def test_a_share_of_updates_is_rounded_up_but_blind_to_float_noise(share, total, expected):
    assert ceil_share(share, total) == expected


def test_grad_accumulation_rounds_up_within_each_epoch():
    assert num_steps_per_epoch(3821, 32, 4) == 30
    assert num_steps_per_epoch(97, 32, 4) == 1
    assert num_steps_per_epoch(129, 32, 4) == 2
