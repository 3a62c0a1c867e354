"""Planned looks: the cells of each look, when a sweep ends, and resumption. Nothing is trained."""

import json
from collections import Counter

import pytest
from fake_looks import LINEAR_IS_OPEN, MARGIN, FakeLooks, outcome
from fake_sweep import Outcome
from hydra.core.override_parser.overrides_parser import OverridesParser

from warmup_lab.comparison.looks import LookDecision
from warmup_lab.config.errors import ConfigError
from warmup_lab.config.schema import CompareConfig
from warmup_lab.sweeps import look_decisions
from warmup_lab.sweeps.budget import FILE_NAME
from warmup_lab.sweeps.looks import LookByLook


def compare(*looks, **stated):
    return CompareConfig(margin=MARGIN, looks=list(looks), **stated)


def source(*words, looks=(6, 12)):
    return LookByLook(OverridesParser.create().parse_overrides(list(words)), None, compare(*looks))


def runs_of_each_seed(sweep, scheduler):
    counts = Counter(seed for name, seed in sweep.trained if name == scheduler)
    return [counts[seed] for seed in range(max(counts) + 1)]


# ------------------------------------------------------------------------------------------------ the first look


def test_the_first_batch_is_the_grid_at_the_seeds_of_the_first_look():
    assert source("seed=range(20)", "a=1,2").ask() == [[f"seed={seed}", f"a={a}"] for seed in range(6) for a in (1, 2)]


def test_without_seeds_they_are_counted_from_0():
    assert source("a=1,2").ask() == [[f"a={a}", f"seed={seed}"] for a in (1, 2) for seed in range(6)]


def test_seeds_are_taken_in_the_given_order():
    cells = source("seed=3,4,5,7,9,11,12,20", looks=(6, 8)).ask()
    assert cells == [[f"seed={seed}"] for seed in (3, 4, 5, 7, 9, 11)]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["seed=range(6)"], r"compare.looks=\[6, 12\] needs 12 seeds, and 6 are given: set 'seed=range\(12\)'"),
        (["seed=3"], r"needs 12 seeds, and 1 is given"),
        (["seed=range(20,0,-1)"], "needs rising seeds, such as"),
        (["seed=a,b"], "seed=a: must be a whole number"),
        (["seed=range(12)", "lr=interval(0,1)"], "a grid needs values"),
    ],
)
def test_seeds_that_do_not_fit_are_refused(words, message):
    with pytest.raises(ConfigError, match=message):
        source(*words)


# --------------------------------------------------------------------------------------------- look after look


def test_decided_arms_get_no_more_seeds(tmp_path, capsys):
    sweep = FakeLooks(tmp_path, compare(6, 12, 24))
    sweep.run(*LINEAR_IS_OPEN)
    assert sweep.batches == [24, 12, 24]
    assert runs_of_each_seed(sweep, "warmuplinear") == [2] * 24
    assert runs_of_each_seed(sweep, "warmupcosine") == [2] * 6
    said = capsys.readouterr().err
    assert "6 of 24 seeds: 2 of 4 arms stop, 2 continue" in said
    assert "ended after all 24 seeds, 1 arm is undecided: 36 runs saved" in said


def test_the_job_list_grows_look_by_look_and_states_the_looks(tmp_path):
    FakeLooks(tmp_path, compare(6, 12)).run(*LINEAR_IS_OPEN)
    listing = json.loads((tmp_path / "sweep.json").read_text())
    assert len(listing["jobs"]) == 24 + 12
    assert listing["compare"]["looks"] == [6, 12]


def test_a_sweep_ends_once_everything_is_decided(tmp_path, capsys):
    sweep = FakeLooks(tmp_path, compare(6, 12, 24))
    sweep.run("scheduler=warmupcosine", "warmup_ratio=0,0.1")
    assert sweep.batches == [12]
    assert "decided after 6 of 24 seeds: 36 runs saved" in capsys.readouterr().err


def test_a_sweep_without_comparisons_ends_after_its_first_look(tmp_path, capsys):
    sweep = FakeLooks(tmp_path, compare(6, 12))
    sweep.run("scheduler=warmuplinear,warmupcosine", "warmup_ratio=0.1")
    assert sweep.batches == [12]
    assert "no arm is compared with another, so the sweep ends after 6 of 12 seeds" in capsys.readouterr().err


def test_cells_of_one_arm_stay_together(tmp_path):
    """Shares of 9.5 and 10 % of 120 updates are both 12 updates: one arm, two cells at each seed."""
    sweep = FakeLooks(tmp_path, compare(6, 12))
    sweep.run("scheduler=warmuplinear", "warmup_ratio=0,0.095,0.1")
    assert sweep.batches == [12, 12]
    assert len(json.loads((tmp_path / "sweep.json").read_text())["jobs"]) == 3 * 12


def test_runs_in_error_do_not_end_a_sweep_and_a_look_without_any_result_does(tmp_path, capsys):
    def some(strategy):
        return Outcome("error", error="no memory") if strategy["seed"] == 3 else outcome(strategy)

    sweep = FakeLooks(tmp_path / "some", compare(6, 12), some)
    sweep.run("scheduler=warmuplinear", "warmup_ratio=0,0.1")
    assert sweep.batches == [12, 12]
    broken = FakeLooks(tmp_path / "all", compare(6, 12), lambda _: Outcome("error", error="no memory"))
    broken.run("scheduler=warmuplinear", "warmup_ratio=0,0.1")
    assert broken.batches == [12]
    assert "no run of this look finished, so the sweep ends here" in capsys.readouterr().err


def test_a_look_with_a_run_that_left_no_result_ends_the_sweep_and_the_same_command_completes_it(tmp_path, capsys):
    """As if the operating system had killed the process of one run."""
    sweep = FakeLooks(tmp_path, compare(6, 12))
    launch = sweep.launch
    sweep.launch = lambda batch, first: launch(batch[:-1], first)
    sweep.run("scheduler=warmuplinear", "warmup_ratio=0,0.1")
    assert sweep.batches == [11]
    assert "1 run of this look left no result, so the look is incomplete" in capsys.readouterr().err
    sweep.launch = launch
    sweep.run("scheduler=warmuplinear", "warmup_ratio=0,0.1")
    assert sweep.batches == [11, 1, 12]


# -------------------------------------------------------------------------------------------------- resumption


@pytest.mark.parametrize("killed_after", [5, 24, 30, 36, 50])
def test_an_interrupted_sweep_continues_at_its_look(tmp_path, killed_after):
    """Within the first look, between two looks, within the second, before and within the third."""
    whole, resumed = (FakeLooks(tmp_path / name, compare(6, 12, 24)) for name in ("whole", "resumed"))
    whole.run(*LINEAR_IS_OPEN)
    with pytest.raises(KeyboardInterrupt):
        resumed.run(*LINEAR_IS_OPEN, until=killed_after)
    assert len(resumed.trained) == killed_after
    resumed.run(*LINEAR_IS_OPEN)
    assert sorted(resumed.trained) == sorted(whole.trained)
    lists = [json.loads((tmp_path / name / "sweep.json").read_text())["jobs"] for name in ("whole", "resumed")]
    assert lists[0] == lists[1]


def test_the_same_command_again_trains_nothing_and_says_the_same(tmp_path, capsys):
    sweep = FakeLooks(tmp_path, compare(6, 12, 24))
    sweep.run(*LINEAR_IS_OPEN)
    capsys.readouterr()
    sweep.run(*LINEAR_IS_OPEN)
    assert len(sweep.batches) == 3
    assert "1 arm is undecided: 36 runs saved" in capsys.readouterr().err


def test_the_same_results_are_looked_at_once(tmp_path, monkeypatch, capsys):
    """The decision of the first look is read, so arms go on that a look now would stop."""
    words = ("scheduler=warmuplinear", "warmup_ratio=0,0.1")
    with pytest.raises(KeyboardInterrupt):
        FakeLooks(tmp_path, compare(6, 12)).run(*words, until=20)
    stored = json.loads((tmp_path / "looks.json").read_text())["looks"]
    assert [(look["seeds"], len(look["open_arms"])) for look in stored] == [(6, 2)]
    monkeypatch.setattr(look_decisions, "decide_look", lambda _: LookDecision(frozenset(), 0, True))
    sweep = FakeLooks(tmp_path, compare(6, 12))
    sweep.run(*words)
    assert sweep.batches == [4]
    assert "decided again" not in capsys.readouterr().err
    assert [look["seeds"] for look in json.loads((tmp_path / "looks.json").read_text())["looks"]] == [6, 12]


def test_a_look_is_decided_again_if_a_run_that_failed_has_another_result(tmp_path, capsys):
    """One run of the first look fails with an error, and the same command, given again, retries it."""
    words = ("scheduler=warmuplinear", "warmup_ratio=0,0.1")

    def failing(strategy):
        return Outcome("error", error="no memory") if strategy["seed"] == 3 else outcome(strategy)

    FakeLooks(tmp_path, compare(6, 12), failing).run(*words)
    assert "decided again" not in capsys.readouterr().err
    FakeLooks(tmp_path, compare(6, 12)).run(*words)
    said = capsys.readouterr().err
    assert "results or settings have changed since the look at 6 seeds, so it is decided again" in said
    whole = FakeLooks(tmp_path / "whole", compare(6, 12))
    whole.run(*words)
    stored = [json.loads((folder / "looks.json").read_text()) for folder in (tmp_path, tmp_path / "whole")]
    assert stored[0] == stored[1]


@pytest.mark.parametrize("content", ["", "{", '{"schema": 1}', "[]"])
def test_a_damaged_file_of_decisions_counts_as_none(tmp_path, content):
    words = ("scheduler=warmuplinear", "warmup_ratio=0,0.1")
    FakeLooks(tmp_path, compare(6, 12)).run(*words)
    written = (tmp_path / "looks.json").read_text()
    (tmp_path / "looks.json").write_text(content)
    FakeLooks(tmp_path, compare(6, 12)).run(*words)
    assert (tmp_path / "looks.json").read_text() == written


# ------------------------------------------------------------------------------------------------ the time budget


def test_a_budget_ends_the_sweep_between_looks_and_a_larger_one_continues_it(tmp_path, capsys):
    """Each run takes 1.5 s. Two at a time, the first look takes 18 s and the second 9 s, 0.45 min together."""
    FakeLooks(tmp_path, compare(6)).run(*LINEAR_IS_OPEN, "seed=range(6)")
    (tmp_path / FILE_NAME).write_text('{"parallelism": 2}')
    short = FakeLooks(tmp_path, compare(6, 12, budget_minutes=0.4))
    short.run(*LINEAR_IS_OPEN)
    assert short.batches == []
    said = capsys.readouterr().err
    assert "compare.budget_minutes=0.4 ends the sweep after 6 of 12 seeds" in said
    assert "the next look takes about 0.2 min and 0.3 min are used" in said
    assert "compare.budget_minutes=0.5" in said
    longer = FakeLooks(tmp_path, compare(6, 12, budget_minutes=0.5))
    longer.run(*LINEAR_IS_OPEN)
    assert longer.batches == [12]


def test_a_budget_that_is_large_enough_changes_nothing(tmp_path):
    sweep = FakeLooks(tmp_path, compare(6, 12, budget_minutes=1000.0))
    sweep.run(*LINEAR_IS_OPEN)
    assert sweep.batches == [24, 12]
