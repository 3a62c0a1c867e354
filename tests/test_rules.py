"""The rules of the claims, on tables of runs whose answer is known by construction."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
import rules

GUESS = 1.5
"""The loss of guessing in the tables made here."""

# Runs that fail from a learning rate on, which differs between seeds by one step of the grid.
LRS = [1e-3 * 2 ** (power / 2) for power in range(6)]


def _runs(first_failure: dict[str, int], *, seeds: int = 24, setting: str = "") -> pd.DataFrame:
    """`first_failure`: length of the warmup -> index of the smallest lr that fails, one more at every second seed."""
    rows = [
        {
            "warmup_asked": length,
            "lr": lr,
            "seed": seed,
            "setting": setting,
            "failed_to_learn": index >= first + seed % 2,
            "status": "completed",
        }
        for length, first in first_failure.items()
        for index, lr in enumerate(LRS)
        for seed in range(seeds)
    ]
    return pd.DataFrame(rows)


def test_usable_lr_grows_with_one_step_of_the_grid_per_length() -> None:
    rising, flat = _runs({"0 %": 1, "10 %": 2, "50 %": 3}), _runs({"0 %": 2, "10 %": 2, "50 %": 2})
    clipped, unclipped = rules.usable_lr_grows([rising, flat])
    assert clipped.verdict == "confirmed"
    assert "2.00 [" in clipped.estimate  # two steps of a factor of sqrt(2)
    assert unclipped.verdict == "undecided"  # all seeds agree: the interval is one step of the grid, up to 1.41


def test_usable_lr_is_refuted_where_a_longer_warmup_lowers_it() -> None:
    falling = _runs({"0 %": 3, "10 %": 2, "50 %": 1})
    assert [row.verdict for row in rules.usable_lr_grows([falling, falling])] == ["refuted", "refuted"]


@pytest.mark.parametrize(("warmed_off", "verdict"), [(4, "confirmed"), (3, "refuted"), (2, "refuted")])
def test_bias_correction_compares_the_two_ratios(warmed_off: int, verdict: str) -> None:
    on = _runs({"0 %": 2, "10 %": 3}, setting="bias_correction=true")
    off = _runs({"0 %": 2, "10 %": warmed_off}, setting="bias_correction=false")
    rng = np.random.default_rng(0)
    off.loc[rng.choice(len(off), 3, replace=False), "failed_to_learn"] ^= True  # seeds that agree have no spread
    (found,) = rules.bias_correction_matters([pd.concat([on, off])])
    assert found.verdict == verdict, found.estimate


@pytest.mark.parametrize(("warmed_post", "verdict"), [(4, "confirmed"), (3, "refuted")])
def test_post_layer_norm_compares_the_two_ratios(warmed_post: int, verdict: str) -> None:
    """Post-LN gains as many steps of the grid as pre-LN, or one more."""
    pre, post = _runs({"0 %": 2, "10 %": 3}), _runs({"0 %": 2, "10 %": warmed_post})
    post.loc[np.random.default_rng(0).choice(len(post), 3, replace=False), "failed_to_learn"] ^= True
    (found,) = rules.post_layer_norm_matters([post, pre])
    assert found.verdict == verdict, found.estimate


@pytest.mark.parametrize(
    ("cold", "warmed", "adamw", "verdict"),
    [
        (3, 3, 1, "confirmed"),
        (3, 3, 3, "undecided"),  # as good as with 10 %, but no better than AdamW
        (1, 3, 0, "refuted"),  # half of the lr50 with 10 %
        (1, 1, 3, "refuted"),  # half of the lr50 of AdamW
    ],
)
def test_giadam_must_do_without_a_warmup_and_beat_adamw(cold: int, warmed: int, adamw: int, verdict: str) -> None:
    own, other = _runs({"0 %": cold, "10 %": warmed}), _runs({"0 %": adamw})
    for runs in (own, other):
        runs.loc[np.random.default_rng(1).choice(len(runs), 4, replace=False), "failed_to_learn"] ^= True
    (found,) = rules.giadam_needs_no_warmup([own, other, other])
    assert found.verdict == verdict, found.estimate


def _losses(loss: Callable[[str, float, int], float], lengths: list[str], lrs: list[float], seeds: int) -> pd.DataFrame:
    """Runs whose evaluation loss is `loss(length, lr, seed)`; those above guessing failed."""
    rows = [
        {
            "warmup_asked": length, "warmup": length, "lr": lr, "seed": seed, "status": "completed",
            "eval_loss": loss(length, lr, seed), "eval_accuracy": 1 - loss(length, lr, seed) / 2,
            "failed_to_learn": loss(length, lr, seed) > GUESS, "guess_loss": GUESS, "guess_accuracy": 0.25,
        }
        for length in lengths
        for lr in lrs
        for seed in range(seeds)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def _noise(seed: int, scale: float) -> float:
    """Noise that sums to 0 over every two seeds."""
    return scale * (-1) ** seed


@pytest.mark.parametrize(
    ("gain", "scale", "verdict"),
    [
        (0.02, 0.05, "confirmed"),  # 0.02 +- 0.02: below the margin of 0.1
        (0.30, 0.05, "refuted"),
        (0.09, 0.40, "undecided"),  # standard error 0.4 / sqrt(23) = 0.083: neither
    ],
)
def test_ten_percent_is_beaten_only_by_a_gain_that_is_shown(gain: float, scale: float, verdict: str) -> None:
    def loss(length: str, _: float, seed: int) -> float:
        return 1.0 - (gain + _noise(seed, scale) if length == "50 %" else 0.0)

    (found,) = rules.ten_percent_scratch([_losses(loss, ["0 %", "10 %", "50 %"], [1e-3], 24)])
    assert found.verdict == verdict, found.estimate
    assert f"{gain:+.3f} [" in found.estimate
    assert found.estimate.endswith("nats, with 50 %")


def test_ten_percent_on_accuracy_counts_a_failed_run_as_guessing() -> None:
    """All runs with 0 % fail and count as 0.25, so no other length gains on 10 %."""
    (found,) = rules.ten_percent_pretrained(
        [
            _losses(
                lambda length, _, seed: 1.6 if length == "0 %" else 0.2 + _noise(seed, 0.01), ["0 %", "10 %"], [1e-3], 6
            )
        ]
    )
    assert found.verdict == "confirmed"
    assert "-0.650 [" in found.estimate  # 0.25 - (1 - 0.2 / 2)


def test_sensitivity_is_the_mean_over_the_grid_minus_the_best_and_is_capped_at_guessing() -> None:
    """0 %: (0.5 + 1.5 + 1.5) / 3 - 0.5 = 0.667; 30 %: (0.5 + 0.8 + 1.5) / 3 - 0.5 = 0.433."""
    table = {("0 %", 1e-3): 0.5, ("0 %", 1e-2): 1.7, ("0 %", 1e-1): 9.0, ("30 %", 1e-3): 0.5, ("30 %", 1e-2): 0.8}

    def loss(length: str, lr: float, seed: int) -> float:
        return table.get((length, lr), 3.0) + (_noise(seed, 0.01) if lr == 1e-2 else 0.0)

    (found,) = rules.sensitivity_falls([_losses(loss, ["0 %", "30 %"], [1e-3, 1e-2, 1e-1], 12)])
    assert found.verdict == "confirmed"
    assert "-0.233 [" in found.estimate


def test_decays_are_judged_on_other_seeds_than_those_that_choose_the_rate() -> None:
    """Of the linear decay, the first 8 seeds prefer 1e-3, the others 1e-2: they judge at 1e-3."""

    def linear(_: str, lr: float, seed: int) -> float:
        return (0.5 if (lr == 1e-3) == (seed < 8) else 0.7) + _noise(seed, 0.01)

    cosine = _losses(lambda *_: 0.6, ["10 %"], [1e-3, 1e-2], 32)
    (found,) = rules.linear_to_zero_is_better([_losses(linear, ["10 %"], [1e-3, 1e-2], 32), cosine])
    assert found.verdict == "refuted"
    assert "+0.100 [" in found.estimate


@pytest.mark.parametrize(("worse_by", "verdict"), [(0.02, "confirmed"), (0.3, "refuted"), (0.1, "undecided")])
def test_both_untuned_warmups_must_equal_radam(worse_by: float, verdict: str) -> None:
    def untuned(name: str, _: float, seed: int) -> float:
        return 0.5 + (worse_by if name == "untuned_exponential" else 0.0) + _noise(seed, 0.02)

    own = _losses(untuned, ["untuned_linear", "untuned_exponential"], [1e-3], 60)
    radam = _losses(lambda *_: 0.5, ["none"], [1e-3], 60)
    (found,) = rules.untuned_equals_radam([own, radam, radam])
    assert found.verdict == verdict, found.estimate


def test_published_runs_are_described_by_the_ratio_of_their_edges() -> None:
    """With no warmup, 1e-3 is the largest rate that learned, with 1 % it is 4e-3."""
    found = [(0, 1e-3, False), (0, 2e-3, True), (9, 2e-3, False), (9, 4e-3, False), (9, 8e-3, True)]
    runs = pd.DataFrame(found, columns=["warmup_steps", "lr", "failed_to_learn"])
    runs = runs.assign(optimizer="adam", status="completed")
    (row,) = rules.published_edges([runs])
    assert row.estimate.endswith("1 % over 0 %: adam 4")
    assert row.verdict == "described, no test"
