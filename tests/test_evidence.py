"""The numbers of the pages in experiments/ are those of the results beside them."""

from __future__ import annotations

from pathlib import Path

import claims
import evidence
import numpy as np
import pandas as pd
import pytest

EXPERIMENTS = Path(evidence.__file__).parent


@pytest.mark.parametrize("page", evidence.PAGES, ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_every_block_is_what_the_results_give(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert evidence.with_blocks(text, page.parent) == text


def test_a_block_changes_with_one_cell_of_its_table(tmp_path: Path) -> None:
    study = EXPERIMENTS / "ten_percent_pretrained"
    (tmp_path / "experiment.yaml").write_bytes((study / "experiment.yaml").read_bytes())
    rows = (study / "results.csv").read_text(encoding="utf-8").splitlines()
    cells = rows[5].split(",")
    cells[-1] = "0.001"  # seconds: no statistic uses them
    (tmp_path / "results.csv").write_text("\n".join([*rows[:5], ",".join(cells), *rows[6:]]) + "\n", encoding="utf-8")
    assert evidence.numbers(tmp_path, "results.csv") != evidence.numbers(study, "results.csv")


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
    clipped, unclipped = claims.usable_lr_grows([rising, flat])
    assert clipped[2] == "confirmed"
    assert "2.00 [" in clipped[1]  # two steps of a factor of sqrt(2)
    assert unclipped[2] == "undecided"  # all seeds agree: the interval is one step of the grid, up to 1.41


def test_usable_lr_is_refuted_where_a_longer_warmup_lowers_it() -> None:
    falling = _runs({"0 %": 3, "10 %": 2, "50 %": 1})
    assert [row[2] for row in claims.usable_lr_grows([falling, falling])] == ["refuted", "refuted"]


@pytest.mark.parametrize(("warmed_off", "verdict"), [(4, "confirmed"), (3, "refuted"), (2, "refuted")])
def test_bias_correction_compares_the_two_ratios(warmed_off: int, verdict: str) -> None:
    on = _runs({"0 %": 2, "10 %": 3}, setting="bias_correction=true")
    off = _runs({"0 %": 2, "10 %": warmed_off}, setting="bias_correction=false")
    rng = np.random.default_rng(0)
    off.loc[rng.choice(len(off), 3, replace=False), "failed_to_learn"] ^= True  # seeds that agree have no spread
    ((_, estimate, found),) = claims.bias_correction_matters([pd.concat([on, off])])
    assert found == verdict, estimate
