"""The plain sentences of a report."""

import numpy as np
import pytest
from fake_sweep import LN2, Outcome, make_job, write_sweep

from warmup_lab.comparison.build import build_comparison
from warmup_lab.comparison.summary import smallest_sentences, summary_sentences, variance_sentence, what_was_held_equal
from warmup_lab.comparison.table import read_sweep


def warmup(shape: str, steps: int, t_eff: float, asked: str = "10 %") -> dict[str, object]:
    return {"warmup": shape, "warmup_steps": steps, "t_eff": t_eff, "asked": asked, "total_steps": 341}


@pytest.mark.parametrize(
    ("warmups", "sentence"),
    [
        ([warmup("linear", 35, 18.0), warmup("linear", 18, 9.5, "5 %")], ""),
        (
            [warmup("linear", 35, 18.0), warmup("sqrt", 26, 17.794), warmup("exponential(rate=5)", 91, 18.087)],
            " Warmups of 3 shapes (linear, sqrt, exponential(rate=5)) have equal T_eff (updates held back in all): "
            "17.79 to 18.09.",
        ),
        (
            [warmup("linear", 35, 18.0), warmup("sqrt", 35, 23.8)],
            " Warmups of 2 shapes (linear, sqrt) have equal length (35 updates) but different T_eff (updates held back "
            "in all): 18 to 23.8.",
        ),
        (
            [warmup("linear", 35, 18.0), warmup("sqrt", 26, 17.794), warmup("radam", 341, 250.0, "")],
            " Warmups of 2 shapes (linear, sqrt) have equal T_eff (updates held back in all): 17.79 to 18. Not "
            "matched: radam (T_eff 250).",
        ),
        (
            [warmup("linear", 35, 18.0), warmup("radam", 341, 250.0, "")],
            " Warmups of 2 shapes (linear, radam) are not matched: no two were asked for alike.",
        ),
    ],
)
def test_what_was_held_equal(warmups, sentence):
    assert what_was_held_equal(warmups) == sentence


def test_total_lr_is_given_if_it_is_known():
    linear, sqrt = (
        warmup(*row) | {"total_lr": total}
        for row, total in ((("linear", 35, 18.0), 170.5), (("sqrt", 26, 17.8), 198.0))
    )
    assert what_was_held_equal([linear, sqrt]) == (
        " Warmups of 2 shapes (linear, sqrt) have equal T_eff (updates held back in all): 17.8 to 18. Their total lr "
        "(sum of lr / peak lr over the run) is not equal: 170.5 to 198."
    )
    assert what_was_held_equal([linear, sqrt | {"total_lr": 171.0}]).endswith("is equal: 170.5 to 171.")
    assert "total lr" not in what_was_held_equal([linear, warmup("sqrt", 26, 17.8)])


def test_variance_sentence():
    split = {
        "lr": 0.72, "warmup": 0.02, "interaction": 0.05, "rest": 0.21, "lrs": [0.0028, 0.004, 0.008],
        "warmup_percents": [0.0, 10.0, 50.0], "num_runs": 90, "metric": "eval_loss", "title": "final evaluation loss",
    }  # fmt: skip
    assert variance_sentence(split) == (
        "Over lr 0.0028 to 0.008 and warmup 0 to 50 %, lr explains 72 % of the variance of final evaluation loss, "
        "warmup 2 %, their interaction 5 %, the rest 21 %."
    )


def smallest(family, steps=None):
    """A row of the section `smallest_warmup` of `comparison.json`."""
    percent = None if steps is None else steps / 3.6
    arm = None if steps is None else "arm"
    row = {"arms": ["a", "b"], "arm": arm, "warmup_steps": steps, "warmup_percent": percent, "reason": "no margin"}
    return row | {"family": family, "sentence": f"Sentence on {family}."}


def test_smallest_warmups_that_agree_are_one_answer():
    assert smallest_sentences([smallest("linear", 36)]) == ["Sentence on linear."]
    start = "Smallest warmup shown to be as good as the best"
    assert smallest_sentences([smallest("linear", 36), smallest("cosine", 36)]) == [
        f"{start}, for each of 2 sets of arms: 36 updates (10 %)."
    ]
    assert smallest_sentences([smallest("linear", 36), smallest("cosine"), smallest("constant")]) == [
        f"{start}: 36 updates (10 %) for linear; not known for 2 other sets of arms."
    ]


def test_smallest_warmups_that_are_not_known_are_not_mentioned():
    assert (
        smallest_sentences([smallest("linear")]) == smallest_sentences([smallest("linear"), smallest("cosine")]) == []
    )


@pytest.mark.parametrize(
    ("grid_failed", "kind", "expected"),
    [
        (1, "confirm", "of the confirmation learned. Before it, 1 of 4 runs of the choice failed to learn."),
        (0, "confirm", "of the confirmation learned."),
        (0, "grid", "of the choice learned."),
    ],
)  # fmt: skip
def test_the_sentence_on_failures_of_a_recommendation_names_its_stage(grid_failed, kind, expected):
    none = {"count": 0, "total": 24}
    counts = {"runs": 24, "seeds": 12, "task": ["sst2"], "model": ["x"], "optimizer": ["y"], "total_steps": [9],
              "failed": none, "diverged": none, "errors": 0, "unfinished": 0, "early": 0}  # fmt: skip
    answer = {
        "sentences": ["Chosen."],
        "plan": {"stages": [{"kind": kind, "run_ids": ["a"]}]},
        "grid": [{"failed": {"count": grid_failed, "total": 4}}],
    }
    chosen, run, failed = summary_sentences({"counts": counts}, [], answer)
    assert chosen == "Chosen."
    stage = "confirmation" if kind == "confirm" else "choice"
    assert run.startswith(f"Runs of the {stage}: 24 runs of 9 updates each (task sst2, model x, optimizer y)")
    assert failed == f"Every finished run {expected}"


@pytest.mark.parametrize(("failing", "advised"), [((0.0,), False), ((0.0, 0.1), True)])
def test_no_advice_against_failures_where_a_combination_never_failed(tmp_path, failing, advised):
    """A warmup without failures is the answer then; the page used to advise more updates beside it."""

    def outcome(strategy):
        if strategy["warmup_ratio"] not in failing or strategy["seed"] > 2:
            return Outcome()
        return Outcome(failed_to_learn=True, loss=np.full(strategy["total_steps"], LN2))

    jobs = [make_job("warmuplinear", ratio, 1e-3, seed, 60) for ratio in (0.0, 0.1) for seed in range(6)]
    write_sweep(tmp_path, jobs, outcome)
    summary = build_comparison(read_sweep(tmp_path))[1]["summary"]
    assert ("To avoid failures: train for more updates" in " ".join(summary)) is advised


def test_runs_that_fail_only_at_the_largest_rates_are_said_to_have_a_large_lr():
    """Seen: a run of lr 0.0019 failed without warmup and was called stuck, while every run at a smaller lr learned."""
    counts = {"runs": 8, "seeds": 1, "task": ["sst2"], "model": ["x"], "optimizer": ["y"], "total_steps": [360],
              "failed": {"count": 1, "total": 8}, "diverged": {"count": 0, "total": 8}, "errors": 0, "unfinished": 0,
              "early": 0}  # fmt: skip
    answer = {"sentences": [], "plan": {"stages": [{"kind": "grid", "run_ids": ["a"]}]}, "failing_from": 0.0019}
    assert summary_sentences({"counts": counts}, [], answer)[-1].endswith(
        "Runs failed only at lr 0.0019 or more, and every run at a smaller lr learned, so that lr may be too large."
    )
