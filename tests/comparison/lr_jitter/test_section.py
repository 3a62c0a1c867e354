"""The section `lr_jitter` of made-up sweeps whose jitter, survivors and losses are planted."""

import json
import math

import numpy as np
import pytest
from fake_sweep import LN2, Outcome, learning_curve, make_job, make_sweep, write_sweep

from warmup_lab.comparison.build import build_comparison
from warmup_lab.comparison.lr_jitter.section import jitter_section
from warmup_lab.comparison.lr_jitter.survival import FIRST_MULTIPLES
from warmup_lab.comparison.statistics import wilson
from warmup_lab.comparison.table import read_sweep

T = 200
TOP_LR = 0.1
SEEDS = 8
STARTS = (112, 118, 120, 124, 126, 130, 140, 145)
"""The first update of each seed that raises the loss; from there on every update does."""


def lr_at(step: int) -> float:
    """The ramp's lr: four decades up to `TOP_LR`, equally spaced on a logarithmic scale."""
    return TOP_LR * 1e-4 ** (1 - step / (T - 1))


JITTER_LR = float(f"{math.sqrt(lr_at(124) * lr_at(126)):.2g}")
"""Median of the seeds, two digits."""
SURVIVORS = {"cold": (8, 7, 7, 4, 2, 0, 0), "warmed": (8, 8, 8, 8, 4, 2, 0)}
"""Seeds that survive each multiple of the jitter lr: seeds 0 to n - 1."""
UP_TO = {"cold": (5, 5, 4, 4, 3, 3, 3, 1), "warmed": (6, 6, 5, 5, 4, 4, 4, 4)}
"""The same by seed: how many of the smallest rates it survives."""
SCHEDULERS = {"constantlr": "cold", "warmupconstant": "warmed"}


def eval_loss(start: str, multiple: float, seed: int) -> float:
    return 0.5 - 0.05 * multiple + 0.01 * seed + (0.001 * seed if start == "warmed" else 0.0)


def ramp(strategy: dict, starts=STARTS) -> Outcome:
    start = starts[strategy["seed"]]
    return Outcome(loss=learning_curve(strategy), overshoot=np.arange(T) >= (T if start is None else start))


def constant(strategy: dict) -> Outcome:
    start = SCHEDULERS[strategy["scheduler"]]
    multiple = min(FIRST_MULTIPLES, key=lambda known: abs(math.log(strategy["lr"] / JITTER_LR / known)))
    if strategy["seed"] < SURVIVORS[start][FIRST_MULTIPLES.index(multiple)]:
        return Outcome(metrics={"eval_loss": eval_loss(start, multiple, strategy["seed"])})
    if strategy["seed"] == 7:  # one of the failures is a divergence
        return Outcome("diverged", True, np.append(np.full(20, LN2), np.nan))
    return Outcome("completed", True, np.full(T, LN2), {"eval_loss": LN2})


def outcome(strategy: dict) -> Outcome:
    return ramp(strategy) if strategy["scheduler"] == "exponentialramp" else constant(strategy)


def ramps() -> list:
    return [make_job("exponentialramp", 0, TOP_LR, seed, T) for seed in range(SEEDS)]


def constants() -> list:
    return [
        make_job(scheduler, 0.1, float(f"{multiple * JITTER_LR:.3g}"), seed, T)
        for multiple in FIRST_MULTIPLES
        for scheduler in SCHEDULERS
        for seed in range(SEEDS)
    ]


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    return read_sweep(write_sweep(tmp_path_factory.mktemp("sweep") / "study", [*ramps(), *constants()], outcome))


@pytest.fixture(scope="module")
def section(sweep):
    return jitter_section(sweep)


def test_every_ramp_has_its_planted_onset(section):
    assert [found["seed"] for found in section["ramps"]] == list(range(SEEDS))
    assert [found["step"] for found in section["ramps"]] == list(STARTS)
    assert [found["lr"] for found in section["ramps"]] == pytest.approx([lr_at(step) for step in STARTS])


def test_the_jitter_lr_is_the_median_with_the_range_of_the_seeds(section):
    found = section["jitter_lr"]
    assert found["median"] == JITTER_LR
    assert (found["low"], found["high"]) == pytest.approx((lr_at(112), lr_at(145)))
    assert (found["num_seeds"], found["num_never"], found["num_unknown"], found["reason"]) == (8, 0, 0, None)


def test_every_trial_has_its_planted_survivors(section):
    found = {(trial["start"], trial["multiple"]): trial for trial in section["trials"]}
    assert found.keys() == {(start, multiple) for start in SURVIVORS for multiple in FIRST_MULTIPLES}
    for (start, multiple), trial in found.items():
        survivors = list(range(SURVIVORS[start][FIRST_MULTIPLES.index(multiple)]))
        losses = [eval_loss(start, multiple, seed) for seed in survivors]
        assert trial["survived"] == wilson(len(survivors), SEEDS).to_dict()
        assert (trial["survivors"], trial["tried"]) == (survivors, list(range(SEEDS)))
        assert trial["warmup_steps"] == (0 if start == "cold" else 20)
        assert trial["share"] == len(survivors) / SEEDS
        assert trial["eval_loss_mean"] == (pytest.approx(np.mean(losses)) if losses else None)
    assert [trial["lr"] for trial in section["trials"]] == sorted(trial["lr"] for trial in section["trials"])


def test_the_largest_rates_and_the_ratio_of_the_usable_rates(section):
    """All cold runs survive 1/4, all warmed runs survive 0.71 times the jitter lr.

    Warmed runs survive one rate more at 7 seeds and 3 more at seed 7: mean 1.25, SD 0.7071, t(7) = 2.3646.
    """
    assert section["largest_lr"]["cold"] == {"lr": float(f"{0.25 * JITTER_LR:.3g}"), "at_edge": False}
    assert section["largest_lr"]["warmed"] == {"lr": float(f"{JITTER_LR / math.sqrt(2):.3g}"), "at_edge": False}
    found = section["gain"]
    steps = np.subtract(UP_TO["warmed"], UP_TO["cold"])
    assert list(found["at_seeds"].values()) == pytest.approx((math.sqrt(2) ** steps).tolist(), rel=0.02)
    assert found["ratio"] == pytest.approx(math.sqrt(2) ** 1.25, rel=0.01)
    half = 2.3646 * 0.7071 / math.sqrt(8)
    assert found["interval"] == pytest.approx([math.sqrt(2) ** (1.25 - half), math.sqrt(2) ** (1.25 + half)], rel=0.02)
    assert (found["answer"], found["bound"]) == ("raises", None)
    cold = 0.25 * JITTER_LR * math.sqrt(2) ** (np.mean(UP_TO["cold"]) - 0.5)
    assert found["lr50"]["cold"]["lr50"] == pytest.approx(cold, rel=0.01)


def test_the_headline_recommends_and_says_what_the_warmup_buys(section):
    found = section["recommendation"]
    assert found["lr"] == float(f"{0.5 * JITTER_LR:.3g}")
    assert (found["multiple"], found["warmup_steps"]) == (0.5, 20)
    assert "only 7 of 8 cold runs survived" in found["warmup_reason"]
    low, high = section["gain"]["interval"]
    assert section["headline"] == (
        f"Use lr {found['lr']:.3g} with a warmup of 20 updates; a 10 % warmup raises the usable lr by a factor of "
        f"{section['gain']['ratio']:.3g} [{low:.3g}, {high:.3g}]."
    )
    assert {found["lr_reason"], found["warmup_reason"]} <= set(section["sentences"])
    assert "The usable lr, at which half of the runs fail (lr50), is" in section["sentences"][1]


def test_the_curves_count_the_planted_overshoots(section):
    for seed in (None, *range(SEEDS)):
        rows = [row for row in section["curves"] if row["seed"] == seed]
        starts = STARTS if seed is None else STARTS[seed : seed + 1]
        assert sum(row["overshoots"] for row in rows) == sum(T - start for start in starts)
        assert sum(row["probed"] for row in rows) == T * len(starts)
        for row in rows:
            rate = wilson(row["overshoots"], row["probed"])
            assert (row["low"], row["high"]) == (rate.low, rate.high)


def test_the_ramps_break_where_their_traces_say(section, sweep):
    onset_lr = sweep.runs[sweep.runs["scheduler"] == "exponentialramp"]["whole/onset_lr"]
    expected = [None if math.isnan(lr) else lr for lr in onset_lr]
    assert section["ramp_break_lr"]["seeds"] == expected
    assert [found["break_lr"] for found in section["ramps"]] == expected


def test_the_section_is_plain_json_and_gives_the_sweep_its_headline(section, sweep):
    json.dumps(section, allow_nan=False)
    _, comparison = build_comparison(sweep)
    assert comparison["lr_jitter"] == section
    assert comparison["headline"] == section["headline"]
    advice = comparison["recommendation"]
    said = [advice["sentence"], *advice["unsure"]]
    assert set(said) & set(section["sentences"])
    told = [sentence for sentence in section["sentences"] if sentence not in said]
    assert comparison["summary"][: len(told)] == told


def test_a_ramp_that_diverges_breaks_at_its_last_lr(tmp_path):
    def diverges(strategy: dict) -> Outcome:
        loss = np.append(learning_curve(strategy)[:150], np.nan)
        return Outcome("diverged", True, loss, overshoot=np.arange(151) >= 120)

    found = jitter_section(read_sweep(write_sweep(tmp_path / "study", ramps(), diverges)))
    assert found["ramp_break_lr"]["seeds"] == pytest.approx([lr_at(150)] * SEEDS)
    assert found["ramp_break_lr"]["median"] == pytest.approx(lr_at(150))


def test_ramps_without_jitter_have_no_recommendation(tmp_path):
    folder = write_sweep(tmp_path / "study", ramps(), lambda strategy: ramp(strategy, (None,) * SEEDS))
    found = jitter_section(read_sweep(folder))
    assert (found["jitter_lr"]["median"], found["jitter_lr"]["num_never"]) == (None, SEEDS)
    assert found["recommendation"]["lr"] is None
    assert found["trials"] == []
    assert "did not start to jitter up to lr 0.1" in found["headline"]


def test_ramps_without_a_run_at_a_constant_rate_are_not_confirmed(tmp_path):
    found = jitter_section(read_sweep(write_sweep(tmp_path / "study", ramps(), ramp)))
    assert found["jitter_lr"]["median"] == JITTER_LR
    assert "no run at a constant rate has confirmed the jitter lr" in found["headline"]


def test_there_is_no_section_with_ramps_up_to_different_rates(tmp_path):
    steeper = [make_job("exponentialramp", 0, 2 * TOP_LR, seed, T) for seed in range(SEEDS)]
    assert jitter_section(read_sweep(write_sweep(tmp_path / "study", [*ramps(), *steeper], ramp))) is None


def test_there_is_no_section_without_the_overshoot_probe(tmp_path):
    assert jitter_section(read_sweep(write_sweep(tmp_path / "study", ramps(), lambda _: Outcome()))) is None


def test_there_is_no_section_in_a_sweep_over_warmups(tmp_path):
    assert jitter_section(read_sweep(make_sweep(tmp_path / "study", seeds=1))) is None


# ----------------------------------------------------------------------------------------- interrupted sweeps


def interrupted(folder, num_ended: int, outcome=outcome) -> dict:
    """The section of the sweep after its first runs; the others have no result."""
    left = iter(range(num_ended))
    jobs = [*ramps(), *constants()]
    return jitter_section(
        read_sweep(write_sweep(folder, jobs, lambda one: None if next(left, None) is None else outcome(one)))
    )


@pytest.fixture(scope="module")
def cut(tmp_path_factory):
    """8 ramps, then cold and warmed runs at 1/4 and 0.35, cold ones at 1/2 and 3 warmed ones there.

    Cold runs of seed 7 diverged, so the last run does not count before a later one has ended.
    """
    return interrupted(tmp_path_factory.mktemp("cut") / "study", 8 + 5 * 8 + 3)


def test_an_interrupted_sweep_recommends_nothing_and_says_what_is_known(cut):
    low, high = lr_at(112), lr_at(145)
    assert cut["headline"] == (
        "Preliminary, 50 of 120 runs: nothing is recommended before all have ended. So far the loss starts to jitter "
        f"at lr {JITTER_LR:.2g} (median of 8 ramps, {low:.2g} to {high:.2g})."
    )
    assert cut["recommendation"]["lr"] is None
    assert (cut["gain"]["answer"], cut["gain"]["ratio"]) == ("undecided", None)
    rates = [f"{float(f'{multiple * JITTER_LR:.3g}'):.3g}" for multiple in FIRST_MULTIPLES[:3]]
    cold, warmed = (
        ", ".join(f"{count} at {lr}" for count, lr in zip(counts, rates, strict=True))
        for counts in (("8 of 8", "7 of 8", "7 of 8"), ("8 of 8", "8 of 8", "2 of 2"))
    )
    assert cut["sentences"][-1] == f"Runs that survived a constant lr so far: cold {cold}; warmed {warmed}."


def test_an_interrupted_sweep_claims_nothing_about_the_rates_that_were_not_tried(cut):
    """It used to say that all runs survived "the largest tried", after a larger one had survived cold."""
    words = " ".join([cut["headline"], *cut["sentences"]])
    assert "largest" not in words
    assert "raises the usable lr" not in words
    assert cut["largest_lr"]["warmed"]["lr"] == float(f"{FIRST_MULTIPLES[1] * JITTER_LR:.3g}")
    assert [(trial["start"], trial["survived"]["total"]) for trial in cut["trials"]] == [
        ("cold", 8), ("warmed", 8), ("cold", 8), ("warmed", 8), ("cold", 8), ("warmed", 2)
    ]  # fmt: skip


def test_the_ratio_of_an_interrupted_sweep_is_an_estimate_over_the_seeds_whose_rates_have_all_ended(tmp_path):
    """All but the last warmed run at the largest rate. Seeds 0 to 6 survive one rate more: a factor of 1.41."""
    found = interrupted(tmp_path / "study", 119, lambda one: outcome(one | {"seed": min(one["seed"], 6)}))
    assert list(map(int, found["gain"]["at_seeds"])) == list(range(7))
    assert found["gain"]["ratio"] == pytest.approx(math.sqrt(2), rel=0.02)
    assert (found["gain"]["answer"], found["gain"]["reason"]) == ("undecided", "runs have not ended")
    assert any("over the 7 seeds whose runs at every rate have ended" in one for one in found["sentences"])
    assert "raises" not in " ".join([found["headline"], *found["sentences"]])


def test_ramps_that_have_not_ended_leave_the_jitter_lr_open(tmp_path):
    found = interrupted(tmp_path / "study", 4)
    assert found["headline"].endswith("So far 4 ramps ended, and 4 show where it jitters.")
    assert found["sentences"] == []


def test_a_loss_that_climbs_without_jitter_asks_for_more_updates(tmp_path):
    """It used to advise a higher ramp beside a chart on which the loss climbs."""

    def climbs(strategy: dict) -> Outcome:
        step = np.arange(T)
        noise = 0.01 * np.random.default_rng(strategy["seed"]).standard_normal(T)
        return Outcome(loss=LN2 - 0.002 * np.minimum(step, 100) + 0.02 * np.maximum(step - 100, 0) + noise,
                       overshoot=np.zeros(T, dtype=bool))  # fmt: skip

    found = jitter_section(read_sweep(write_sweep(tmp_path / "study", ramps(), climbs)))
    assert found["climb"]["num_climbed"] == SEEDS
    assert lr_at(85) < found["climb"]["lowest_lr"] < lr_at(112)
    assert lr_at(100) < found["climb"]["break_lr"] < lr_at(130)
    assert "the loss climbed from lr" in found["headline"]
    assert "set max_steps=400 or more" in found["headline"]
    assert "ramp higher" not in found["headline"]
