"""The stages of a recommendation on made-up results: what is trained, what is stored, and resumption."""

import json
import re
from functools import partial

import pytest
from fake_recommend import BREAK_LR, TOTAL, FakeRecommend, outcome, ramp
from fake_sweep import LN2, Outcome

from warmup_lab.comparison.build import build_comparison
from warmup_lab.comparison.table import read_sweep
from warmup_lab.config.errors import ConfigError

FULL = [1, 4, 24, 12]
"""Runs of the timing, ramps, a grid of 4 rates at 3 seeds, and the first look."""


def seeds_of(sweep, scheduler="warmuplinear"):
    return {job.strategy["seed"] for job in sweep.trained if job.strategy["scheduler"] == scheduler}


def said(capsys):
    return capsys.readouterr().err


@pytest.fixture(scope="module")
def decided(tmp_path_factory):
    sweep = FakeRecommend(tmp_path_factory.mktemp("recommend") / "study")
    sweep.run()
    return sweep


def test_the_stages_are_timing_ramps_rates_and_a_confirmation(decided):
    assert decided.stages == FULL
    assert [stage["kind"] for stage in decided.stored()["stages"]] == ["timing", "ramp", "grid", "confirm"]


def test_ramps_are_a_rising_lr_on_few_examples(decided):
    ramps = [job for job in decided.trained if "max_steps=200" in job.overrides]
    assert len(ramps) == 4
    assert all(
        {"scheduler=exponentialramp", "task.limit=256", "optimizer.lr=0.1"} <= set(job.overrides) for job in ramps
    )


def test_rates_lie_below_the_lr_at_which_the_ramps_break(decided):
    (grid,) = [stage for stage in decided.stored()["stages"] if stage["kind"] == "grid"]
    assert max(grid["lrs"]) == pytest.approx(BREAK_LR, rel=0.05)
    assert [high / low for low, high in zip(grid["lrs"], grid["lrs"][1:], strict=False)] == pytest.approx(
        [2, 2, 2], rel=0.1
    )


def test_other_seeds_confirm_the_best_rate_with_and_without_warmup(decided):
    choosing, confirming = decided.stored()["stages"][2:]
    assert not set(choosing["seeds"]) & set(confirming["seeds"])
    (lr,) = confirming["lrs"]
    assert lr == pytest.approx(0.002, rel=0.05)
    runs = [job.strategy for job in decided.trained[-12:]]
    assert {(run["lr"], run["warmup_steps"]) for run in runs} == {(lr, 0), (lr, 12)}


def test_the_same_command_again_trains_nothing(decided):
    again = FakeRecommend(decided.folder)
    before = decided.stored()
    again.run()
    assert again.trained == []
    assert again.stored() == before


def test_the_terminal_says_each_thing_once(tmp_path, capsys):
    """The first line names the folder; what is finished already is counted, and no cells."""
    sweep = FakeRecommend(tmp_path / "study")
    with pytest.raises(KeyboardInterrupt):
        sweep.run(until=10)
    lines = said(capsys).splitlines()
    assert lines[0].startswith("looking for an lr and a warmup for ")
    assert lines[0].endswith(f"in 10 min (compare.budget_minutes); results are in {tmp_path / 'study'}")
    assert [line.split(" ")[0] for line in lines[1:]] == ["measuring", "an", "1", "The", "2", "10"]
    sweep.run()
    resumed = said(capsys).splitlines()
    rates = lines[5].partition(" lr ")[2].partition(" with ")[0]
    assert resumed[:6] == [
        lines[0],
        "1 of 1 run finished already",
        "1 of 3: 4 ramps of 200 updates, as planned before",
        "4 of 4 runs finished already",
        f"2 of 3: lr {rates} with and without warmup, 24 runs, as planned before",
        "5 of 24 runs finished already",
    ]
    assert [line.split(";")[0] for line in resumed[6:]] == ["best so far: lr 0.0021 with warmup", "41 done, 0 left"]


def test_the_needed_budget_is_estimated_again_once_runs_have_shown_their_time(tmp_path):
    """An update of a run takes 0.3 s, and 0.1 s in ramps, so a budget named after the ramps would not do.

    Used: 1 s, 20 s of ramps and 144 s of 8 runs on 2 processes. 400 updates of ramps and 960 of runs took 0.24 s each
    on average, so 12 runs of 29 s confirm in 191 s, with the reserve of 10 %.
    """
    sweep = FakeRecommend(tmp_path / "study", budget_minutes=2)
    sweep.update_seconds = lambda strategy: 0.1 if strategy["scheduler"] == "exponentialramp" else 0.3
    sweep.run()
    assert [stage["kind"] for stage in sweep.stored()["stages"]] == ["timing", "ramp", "grid"]
    assert sweep.stored()["needed_minutes"] == 6
    assert "then 12 runs to confirm it" in sweep.stored()["needed_parts"]


@pytest.mark.parametrize("killed_after", [0, 1, 3, 10, 30])
def test_a_killed_command_goes_on_to_the_same_plan(killed_after, decided, tmp_path):
    sweep = FakeRecommend(tmp_path / "study")
    with pytest.raises(KeyboardInterrupt):
        sweep.run(until=killed_after)
    sweep.run()
    assert {job.run_id for job in sweep.trained} == {job.run_id for job in decided.trained}
    assert len(sweep.trained) == len(decided.trained)


def test_more_seeds_confirm_until_it_is_decided_or_none_are_planned(tmp_path, capsys):
    sweep = FakeRecommend(tmp_path / "study", partial(outcome, penalty=0.0), budget_minutes=None)
    sweep.run()
    assert sweep.stages == [*FULL, 12, 24]
    assert "undecided at 6 seeds; 3 of 3: confirming" in capsys.readouterr().err


def test_a_look_that_does_not_fit_ends_the_sweep_and_a_larger_budget_continues_it(tmp_path, capsys):
    sweep = FakeRecommend(tmp_path / "study", partial(outcome, penalty=0.0), budget_minutes=5)
    sweep.run()
    assert sweep.stages == FULL
    assert "undecided at 6 seeds; the next look does not fit" in capsys.readouterr().err
    stored = sweep.stored()
    assert stored["needed_for"] == "more seeds"
    used = sum(stage["wall_seconds"] for stage in stored["stages"])
    assert stored["kept_seconds"] == pytest.approx(used)  # all runs count: only the rest of the budget is new time
    more = FakeRecommend(tmp_path / "study", partial(outcome, penalty=0.0), budget_minutes=stored["needed_minutes"])
    more.run()
    assert more.stages == [12]
    assert more.stored()["stages"][:4] == stored["stages"]


def test_a_small_budget_does_what_fits_and_names_one_that_is_enough(tmp_path, capsys):
    """A run is 12 s on one of two processes: 18 runs need 2 min. A minute is enough for a ramp and 3 rates."""
    sweep = FakeRecommend(tmp_path / "study", budget_minutes=1)
    sweep.run()
    stored = sweep.stored()
    assert [stage["kind"] for stage in stored["stages"]] == ["timing", "ramp", "grid"]
    assert stored["stages"][-1]["updates"] == TOTAL
    assert stored["needed_for"] == "recommendation"
    assert f"compare.budget_minutes={stored['needed_minutes']} (" in capsys.readouterr().err
    enough = FakeRecommend(tmp_path / "study", budget_minutes=stored["needed_minutes"])
    enough.run()
    assert enough.stored()["stages"][-1]["kind"] == "confirm"


def test_a_budget_that_is_too_small_for_whole_runs_is_used_on_shorter_ones(tmp_path, capsys):
    """As on TREC, where 10 minutes ended after the ramps. 42 s: a ramp of 60 updates, then 6 runs of 60 of 120."""
    sweep = FakeRecommend(tmp_path / "study", budget_minutes=0.7)
    sweep.run()
    stored, text = sweep.stored(), said(capsys)
    grid = stored["stages"][-1]
    assert (grid["kind"], grid["updates"], stored["full_updates"], stored["full_warmup_steps"]) == ("grid", 60, 120, 12)
    assert "so doing what fits: 3 rates at 1 seed, runs of 60 instead of 120 updates, which say less" in text
    runs = [job for job in sweep.trained if job.strategy["scheduler"] == "warmuplinear"]
    assert {job.strategy["warmup_steps"] for job in runs} == {0, 6}
    assert sweep.now <= 42
    enough = FakeRecommend(tmp_path / "study", budget_minutes=stored["needed_minutes"])
    enough.run()
    kinds = [(stage["kind"], stage["updates"]) for stage in enough.stored()["stages"][2:]]
    assert kinds[0] == ("grid", TOTAL)
    assert kinds[-1] == ("confirm", TOTAL)


def test_time_that_shortened_runs_leave_is_used_on_longer_ones(tmp_path, capsys):
    """After ramps at 1 s an update, runs of 60 updates seem to fit. They take 0.1 s, and then whole ones fit."""
    sweep = FakeRecommend(tmp_path / "study", budget_minutes=5)
    sweep.update_seconds = lambda strategy: 1.0 if strategy["scheduler"] == "exponentialramp" else 0.1
    sweep.run()
    stages = sweep.stored()["stages"]
    assert [(stage["kind"], stage["updates"]) for stage in stages[2:]] == [
        ("grid", 60), ("grid", TOTAL), ("confirm", TOTAL)
    ]  # fmt: skip
    text = said(capsys)
    assert "runs of 60 instead of 120 updates" in text
    assert "time is left for runs of 120 updates: lr" in text
    assert sweep.now <= 300
    assert sweep.stored()["needed_minutes"] is None
    found = build_comparison(read_sweep(tmp_path / "study"))[1]["recommend"]
    assert {len(row["values"]) for row in found["grid"]} == {len(stages[3]["seeds"])}
    larger = FakeRecommend(tmp_path / "study", budget_minutes=6)
    larger.run()
    assert larger.stages == []


def test_one_estimate_of_the_needed_budget_is_printed_and_says_what_it_is_made_of(tmp_path, capsys):
    """Used: 1 s of timing. Needed: 18 runs of 12.1 s and a tenth on 2 processes, and ramps: the first is short."""
    sweep = FakeRecommend(tmp_path / "study", budget_minutes=0.7)
    sweep.run()
    named = re.findall(r"compare.budget_minutes=(\d+) \(", said(capsys))
    assert len(set(named)) == 1
    assert int(named[0]) == sweep.stored()["needed_minutes"]
    parts = sweep.stored()["needed_parts"]
    assert "then 6 runs to choose the lr and 12 to confirm it take 13 s each, 2 at a time" in parts


def test_time_that_is_left_adds_a_seed_at_the_best_rates(tmp_path, capsys):
    """After 4 rates at 1 seed, no confirmation fits into 2 minutes, nor all rates again: 69 of 120 s are used."""
    sweep = FakeRecommend(tmp_path / "study", budget_minutes=2)
    sweep.run()
    first, second = [stage for stage in sweep.stored()["stages"] if stage["kind"] == "grid"]
    assert "time is left for a seed more: lr" in said(capsys)
    assert len(first["lrs"]) == 4
    assert len(second["lrs"]) == 3
    assert 0.002 in [pytest.approx(lr, rel=0.1) for lr in second["lrs"]]
    assert second["seeds"] == [1]
    assert sweep.now <= 120


def test_a_tiny_budget_measures_the_time_and_nothing_else(tmp_path, capsys):
    sweep = FakeRecommend(tmp_path / "study", budget_minutes=0.05)
    sweep.run()
    assert sweep.stages == [1]
    assert "a whole answer needs compare.budget_minutes=3 (1 s of the present runs count, " in said(capsys)
    assert sweep.stored()["run_seconds"] == pytest.approx(
        12 + 0.1
    )  # 120 updates of 0.1 s, 96 examples in batches of 32


def test_a_rate_is_added_beyond_an_edge(tmp_path, capsys):
    """The best lr is 0.002, and ramps that break at 0.001 lead to smaller ones."""

    def low(strategy):
        return ramp(strategy, 0.001) if strategy["scheduler"] == "exponentialramp" else outcome(strategy)

    sweep = FakeRecommend(tmp_path / "study", low)
    sweep.run()
    grids = [stage["lrs"] for stage in sweep.stored()["stages"] if stage["kind"] == "grid"]
    assert [len(lrs) for lrs in grids] == [4, 1, 1]
    assert grids[1][0] == pytest.approx(2 * grids[0][-1])
    assert "is the best so far and the largest: adding lr" in capsys.readouterr().err


def all_fail(strategy, loss_of=lambda _: LN2):
    if strategy["scheduler"] == "exponentialramp":
        return ramp(strategy)
    return Outcome("completed", True, metrics={"eval_loss": loss_of(strategy["lr"])})


@pytest.mark.parametrize(
    ("loss_of", "factor"),
    [
        (lambda _: LN2, None),  # no rate is better, so more rates would be, too
        (lambda lr: LN2 + lr, 1 / 4),
        (lambda lr: LN2 - lr, 4),
    ],
)
def test_where_all_runs_fail_rates_are_added_in_the_direction_that_gets_better(loss_of, factor, tmp_path):
    sweep = FakeRecommend(tmp_path / "study", partial(all_fail, loss_of=loss_of))
    sweep.run()
    stages = sweep.stored()["stages"]
    assert "confirm" not in [stage["kind"] for stage in stages]
    grids = [stage["lrs"] for stage in stages if stage["kind"] == "grid"]
    if factor is None:
        assert len(grids) == 1
        return
    edge = grids[0][0] if factor < 1 else grids[0][-1]
    assert grids[1] == pytest.approx([factor * edge], rel=0.05)
    assert 2 <= len(grids) <= 5


def test_no_larger_budget_is_named_where_longer_runs_failed_too(tmp_path):
    """The need that the shortened grid noted stayed, and the command for it trained nothing."""
    sweep = FakeRecommend(tmp_path / "study", all_fail, budget_minutes=5)
    sweep.update_seconds = lambda strategy: 1.0 if strategy["scheduler"] == "exponentialramp" else 0.1
    sweep.run()
    stored = sweep.stored()
    assert [(stage["kind"], stage["updates"]) for stage in stored["stages"][2:]] == [("grid", 60), ("grid", TOTAL)]
    assert stored["needed_minutes"] is None


def test_a_break_that_lies_too_low_still_ends_in_an_answer(tmp_path):
    """As on 300 easy rows: rates below 0.0008 learn nothing in few updates, and each larger one comes closer."""

    def few_updates(strategy):
        if strategy["scheduler"] == "exponentialramp":
            return ramp(strategy, 4e-4)
        learned = strategy["lr"] >= 8e-4
        loss = 0.3 + 0.01 * strategy["seed"] / 10 if learned else LN2 - 5 * strategy["lr"]
        return Outcome("completed", not learned, metrics={"eval_loss": loss})

    sweep = FakeRecommend(tmp_path / "study", few_updates)
    sweep.run()
    stages = sweep.stored()["stages"]
    assert max(stages[2]["lrs"]) < 8e-4
    (confirmed,) = {lr for stage in stages if stage["kind"] == "confirm" for lr in stage["lrs"]}
    assert confirmed >= 8e-4


def test_on_a_cluster_all_runs_of_a_stage_go_on_at_the_same_time(tmp_path):
    """A run is 12 s. With 2 at a time, 18 runs need 2 min; with 256 tasks, the two stages need 24 s."""
    sweep = FakeRecommend(tmp_path / "study", budget_minutes=1, num_processes=256)
    sweep.run()
    assert [stage["kind"] for stage in sweep.stored()["stages"]] == ["timing", "ramp", "grid", "confirm"]
    assert sweep.now <= 60


def test_nothing_follows_a_stage_without_a_finished_run(tmp_path):
    sweep = FakeRecommend(tmp_path / "study", lambda _: Outcome("error", error="no memory"))
    sweep.run()
    assert sweep.stages == [1]


def test_the_lr_of_the_command_is_tried_too(tmp_path):
    sweep = FakeRecommend(tmp_path / "study")
    sweep.run("optimizer.lr=0.0123")
    (grid,) = [stage for stage in sweep.stored()["stages"] if stage["kind"] == "grid"]
    assert 0.0123 in grid["lrs"]


def test_another_command_in_the_same_folder_makes_its_own_plan(tmp_path):
    sweep = FakeRecommend(tmp_path / "study")
    sweep.run()
    other = FakeRecommend(tmp_path / "study")
    other.run("seed=100")
    assert other.stages == FULL
    assert min(job.strategy["seed"] for job in other.trained) == 100


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("batch_size=16,32", "batch_size: recommend takes one value and chooses the learning rates, warmups"),
        ("seed=range(6)", "seed: recommend takes one value"),
        ("optimizer.lr=small", "optimizer.lr=small: must be a number"),
        ("scheduler=constantlr", "scheduler=constantlr has no warmup"),
        ("warmup_ratio=0", "warmup_ratio=0 is a warmup of 0 of 120 updates"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_anything_is_written(word, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        FakeRecommend(tmp_path / "study").search(word)
    assert not (tmp_path / "study").exists()


def test_the_stored_plan_is_json_without_surprises(decided):
    assert json.loads((decided.folder / "recommend.json").read_text())["schema"] == 1


def test_the_budget_of_a_whole_answer_counts_the_grid_again_where_its_ramp_is_too_short_to_be_kept(tmp_path):
    """A ramp of 60 updates is made again, and so is the grid that followed it."""
    sweep = FakeRecommend(tmp_path / "study", budget_minutes=0.3)
    sweep.run("max_steps=27")
    assert [(stage["kind"], stage["updates"]) for stage in sweep.stored()["stages"]][1:] == [("ramp", 60), ("grid", 27)]
    parts = sweep.stored()["needed_parts"]
    assert "ramps take " in parts
    assert "then 6 runs to choose the lr and 12 to confirm it" in parts


def test_a_report_covers_its_own_recommendation_only(tmp_path):
    """Runs of another recommendation in the same folder are no part of it."""
    sweep = FakeRecommend(tmp_path / "study")
    sweep.run()
    sweep.run("batch_size=64")
    _, found = build_comparison(read_sweep(sweep.folder))
    assert found["coverage"]["others"] == 0
    assert not [note for note in found["notes"] if "covers" in note["text"]]
