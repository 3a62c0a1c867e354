import pandas as pd
import pytest
from fake_sweep import Outcome, make_sweep, usual

from warmup_lab import load_runs
from warmup_lab.comparison import build_comparison, read_sweep


@pytest.fixture
def folder(tmp_path):
    def outcome(strategy):
        if strategy["seed"] == 1:
            return Outcome("error", error="out of memory") if strategy["warmup_steps"] else None
        return usual(strategy)

    return make_sweep(tmp_path, ratios=(0.0, 0.1), seeds=3, outcome=outcome)


def test_it_is_the_table_of_the_report_before_there_is_one(folder):
    pd.testing.assert_frame_equal(load_runs(str(folder)), build_comparison(read_sweep(folder))[0])
    assert not (folder / "results.parquet").exists()


def test_runs_without_a_result_are_rows_too(folder):
    runs = load_runs(folder)
    assert len(runs) == 2 * 2 * 2 * 3
    missing = runs[runs["seed"] == 1]
    assert set(missing["status"]) == {"error", "unfinished"}
    assert missing["eval_loss"].isna().all()


def test_a_folder_without_a_sweep_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"holds no sweep\.json"):
        load_runs(tmp_path)
