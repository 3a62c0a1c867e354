"""The cells of `experiment=lr_jitter`: ramps, constant rates around the jitter lr, and rates added at an open end."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from warmup_lab.comparison.lr_jitter import ALL_MULTIPLES, FIRST_MULTIPLES
from warmup_lab.config.errors import ConfigError
from warmup_lab.runs.trace import StepTable
from warmup_lab.sweeps.lr_jitter_cells import JitterSearch

T = 200
LR = 1e-4 * 1000 ** (np.arange(T) / (T - 1))
JITTER_LR = float(f"{LR[150]:.2g}")
SEEDS = 6


def search(directory: Path, *words: str) -> JitterSearch:
    """The fewest seeds, updates and probes, unless `words` has others; a plan knows nothing else."""
    given = {"seed": f"range({SEEDS})", "max_steps": str(T), "probe.overshoot_every": "1"}
    given |= dict(word.split("=", 1) for word in words)

    def plan_cell(cell: list[str]) -> SimpleNamespace:
        found = values(cell)
        every = None if found["probe.overshoot_every"] == "null" else int(found["probe.overshoot_every"])
        config = SimpleNamespace(probe=SimpleNamespace(overshoot_every=every))
        return SimpleNamespace(total_steps=int(found["max_steps"]), config=config)

    parsed = OverridesParser.create().parse_overrides([f"{key}={value}" for key, value in given.items()])
    return JitterSearch(parsed, directory, plan_cell)


def finish_ramps(directory: Path, starts_at: int | None = 150) -> list[dict[str, Any]]:
    """Traces of ramps whose updates raise the loss from `starts_at` on, and their results."""
    results = []
    for seed in range(SEEDS):
        overshoot = (np.arange(T) >= (T if starts_at is None else starts_at)).astype(float)
        columns = {"step": np.arange(T), "lr": LR, "overshoot": overshoot}
        (directory / f"ramp{seed}").mkdir()
        table = StepTable.from_lists({name: values.tolist() for name, values in columns.items()})
        table.write(directory / f"ramp{seed}" / "trace.parquet")
        strategy = {"scheduler": "exponentialramp", "total_steps": T}
        results.append({"run_id": f"ramp{seed}", "status": "completed", "strategy": strategy})
    return results


def values(cell: list[str]) -> dict[str, str]:
    return dict(override.split("=", 1) for override in cell)


def train(cells: list[list[str]], fails: Callable[[str, float, int], bool]) -> list[dict[str, Any]]:
    """Results of constant rates; `fails(scheduler, multiple, seed)`. Failed runs of odd seeds diverge."""
    results = []
    for cell in map(values, cells):
        failed = fails(cell["scheduler"], float(cell["optimizer.lr"]) / JITTER_LR, int(cell["seed"]))
        status = "diverged" if failed and int(cell["seed"]) % 2 else "completed"
        results.append({"status": status, "failed_to_learn": failed and status == "completed"})
    return results


def multiples(cells: list[list[str]]) -> list[float]:
    found = {float(cell["optimizer.lr"]) / JITTER_LR for cell in map(values, cells)}
    return sorted(min(ALL_MULTIPLES, key=lambda known: abs(math.log(one / known))) for one in found)


def after_ramps(directory: Path, *words: str) -> tuple[JitterSearch, list[list[str]]]:
    cells = search(directory, *words)
    cells.ask()
    cells.tell(finish_ramps(directory))
    return cells, list(map(list, cells.ask()))


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("max_steps=199", "at least 200 updates, and these have 199"),
        ("seed=range(5)", "and got 5: set 'seed=range(6)'"),
        ("seed=0,1,2,2,1,0", "and got 3"),
        ("seed=0", "and got 1"),
        ("probe.overshoot_every=null", "needs the overshoot probe"),
        ("probe.overshoot_every=3", "probes 67 of 200 updates, and lr_jitter needs 100"),
        ("optimizer.lr=0.1,0.2", "optimizer.lr: lr_jitter sweeps only the seed"),
        ("scheduler=warmuplinear", "sets the schedules itself"),
    ],
)
def test_what_is_too_little_is_refused(word, message, tmp_path):
    with pytest.raises(ConfigError, match=re.escape(message)):
        search(tmp_path, word)


def test_ramps_come_first_without_the_warmup_that_only_the_warmed_runs_have(tmp_path):
    cells = search(tmp_path, "warmup_steps=50", "optimizer.lr=0.1", "scheduler.ramp_start=1e-3")
    ramps = cells.ask()
    assert [cell[-1] for cell in ramps] == [f"seed={seed}" for seed in range(SEEDS)]
    assert all("scheduler=exponentialramp" in cell and "warmup_steps=50" not in cell for cell in ramps)
    assert cells.ask() == []  # no confirmation before every ramp has finished


def test_ramps_are_followed_by_every_multiple_cold_and_warmed_at_the_same_seeds(tmp_path):
    _, cells = after_ramps(tmp_path, "warmup_ratio=0.2", "batch_size=16")
    assert len(cells) == len(FIRST_MULTIPLES) * 2 * SEEDS
    assert multiples(cells) == list(FIRST_MULTIPLES)
    by_start = {name: [cell for cell in map(values, cells) if cell["scheduler"] == name] for name in
                ("constantlr", "warmupconstant")}  # fmt: skip
    for cold, warmed in zip(*by_start.values(), strict=True):
        assert warmed.pop("warmup_ratio") == "0.2"
        assert cold | {"scheduler": ""} == warmed | {"scheduler": ""}
        assert (cold["batch_size"], cold["probe.overshoot_every"]) == ("16", "null")


def test_no_rate_is_added_if_both_starts_reach_both_ends(tmp_path):
    search_, cells = after_ramps(tmp_path)
    search_.tell(train(cells, lambda name, multiple, _: multiple > (0.6 if name == "constantlr" else 1.1)))
    assert search_.ask() == []


def test_larger_rates_are_added_one_by_one_until_all_warmed_runs_fail(tmp_path):
    search_, cells = after_ramps(tmp_path)

    def fails(name: str, multiple: float, seed: int) -> bool:
        return multiple > 0.6 if name == "constantlr" else multiple > 2.1 + seed * 0.2

    added = []
    while cells:
        search_.tell(train(cells, fails))
        cells = list(map(list, search_.ask()))
        added.append(multiples(cells))
        assert len(cells) in (0, 2 * SEEDS), "a rate at all seeds, cold and warmed"
    assert added == [[2 * math.sqrt(2)], [4.0], []]


def test_smaller_rates_are_added_until_nearly_all_runs_survive_or_the_limit_is_reached(tmp_path):
    search_, cells = after_ramps(tmp_path)
    added = []
    while cells:
        search_.tell(train(cells, lambda *_: True))
        cells = list(map(list, search_.ask()))
        added += multiples(cells)
    assert added == [math.sqrt(2) / 8, 1 / 8]


@pytest.mark.parametrize("status", ["error", None])
def test_nothing_follows_a_run_that_did_not_finish(status, tmp_path):
    cells = search(tmp_path)
    cells.ask()
    ramps = finish_ramps(tmp_path)
    cells.tell([*ramps[:-1], ramps[-1] | {"status": status} if status else None])
    assert cells.ask() == []
    (tmp_path / "again").mkdir()
    cells, constants = after_ramps(tmp_path / "again")
    results = train(constants, lambda *_: True)
    cells.tell([*results[:-1], {"status": status, "failed_to_learn": None} if status else None])
    assert cells.ask() == []


def test_nothing_follows_ramps_without_jitter(tmp_path):
    cells = search(tmp_path)
    cells.ask()
    cells.tell(finish_ramps(tmp_path, starts_at=None))
    assert cells.ask() == []


# ------------------------------------------------------------------------------------------ between the stages


def test_the_terminal_says_where_the_ramps_jitter_and_what_is_tried_next(tmp_path, capsys):
    after_ramps(tmp_path)
    said = capsys.readouterr().err
    assert f"So far the loss starts to jitter at lr {JITTER_LR:.2g} (median of 6 ramps, {LR[150]:.2g} to" in said
    low, high = (f"{multiple * JITTER_LR:.3g}" for multiple in (FIRST_MULTIPLES[0], FIRST_MULTIPLES[-1]))
    assert f"Next: 7 constant rates, {low} to {high}, cold and after a warmup." in said


def test_the_terminal_says_that_no_rate_can_be_chosen(tmp_path, capsys):
    cells = search(tmp_path)
    cells.ask()
    cells.tell(finish_ramps(tmp_path, None))
    said = capsys.readouterr().err
    assert "So far 6 ramps ended, and 0 show where it jitters." in said
    assert "No constant rate can be chosen, so the search ends." in said


def test_the_terminal_counts_the_failures_and_says_why_a_rate_is_added(tmp_path, capsys):
    """Cold, seed 0 fails at every rate and the others above 0.71; warmed, the others survive every rate."""
    cells, batch = after_ramps(tmp_path)
    capsys.readouterr()
    cells.tell(
        train(batch, lambda scheduler, multiple, seed: seed == 0 or (scheduler == "constantlr" and multiple > 0.8))
    )
    said = capsys.readouterr().err
    lowest, highest = FIRST_MULTIPLES[0] * JITTER_LR, FIRST_MULTIPLES[-1] * JITTER_LR
    assert f"Failed so far, cold: 1 of 6 at lr {lowest:.3g}, " in said
    assert f"6 of 6 at lr {highest:.3g}; warmed: 1 of 6 at lr {lowest:.3g}, " in said
    lower, higher = lowest / math.sqrt(2), highest * math.sqrt(2)
    assert (
        f"Next: lr {lower:.3g} and lr {higher:.3g}, because some runs fail at the smallest rate and some runs survive "
        "the largest rate." in said
    )


def test_the_terminal_says_that_missing_runs_stop_the_search(tmp_path, capsys):
    cells = search(tmp_path)
    cells.ask()
    cells.tell([*finish_ramps(tmp_path)[:-1], None])
    assert cells.ask() == []
    assert "1 of 6 runs have no result, so the search stops; the same command continues it" in capsys.readouterr().err
