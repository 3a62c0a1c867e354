"""`experiment=recommend` for real, with runs of a few updates. Nothing depends on how they turn out."""

import json
from pathlib import Path

import pytest
from fake_recommend import FakeRecommend
from program import SMALL, SMALL_MODEL, train_py_here

from warmup_lab.comparison.table import read_sweep
from warmup_lab.report.build import build_comparison, report_sweep

SETTINGS = (
    *SMALL, *SMALL_MODEL, "experiment=recommend", "max_steps=4", "task.num_train=32", "task.max_length=12",
    "model.dropout=0", "batch_size=16", "hydra/launcher=stacked", "compare.looks=[6]",
)  # fmt: skip


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The command, and the same again, with the fewest runs. Without a budget the plan depends on no measured time."""
    where = tmp_path_factory.mktemp("recommend")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warmup_lab.report.build.save_figure", lambda *_: None)
        patch.setattr("warmup_lab.sweeps.recommend_plan._RAMPS", ((2, 60),))
        patch.setattr("warmup_lab.sweeps.recommend_plan._GRIDS", ((2, 1),))
        finished = train_py_here(*SETTINGS, "-m", "compare.budget_minutes=null", cwd=where)
        folder = where / "runs" / "recommend_synthetic_bert_tiny"
        written = times_of_results(folder)
        again = train_py_here(*SETTINGS, "-m", "compare.budget_minutes=null", cwd=where)
    assert finished.returncode == 0, finished.stderr
    assert again.returncode == 0, again.stderr
    return folder, finished, written


def times_of_results(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.glob("*/result.json")}


@pytest.mark.trains
def test_the_stages_end_in_an_answer(done):
    folder, finished, _ = done
    comparison = json.loads((folder / "comparison.json").read_text())
    kinds = [stage["kind"] for stage in comparison["recommend"]["plan"]["stages"]]
    assert kinds[:3] == ["timing", "ramp", "grid"]
    assert comparison["recommendation"]["sentence"] in finished.stdout
    assert comparison["headline"] in (folder / "report.html").read_text()
    assert "1 of 3: " in finished.stderr
    assert "2 of 3: trying lr " in finished.stderr


@pytest.mark.trains
def test_the_same_command_again_trains_nothing(done):
    folder, _, written = done
    assert written
    assert times_of_results(folder) == written


@pytest.mark.trains
def test_the_report_follows_from_the_files(done):
    folder = done[0]
    written = json.loads((folder / "comparison.json").read_text())
    assert build_comparison(read_sweep(folder))[1]["recommend"] == written["recommend"]


@pytest.mark.usefixtures("without_pictures")
@pytest.mark.parametrize(
    ("minutes", "beginning"),
    [(0.05, "The budget is too small for a ramp: one run takes 12 s"), (0.15, "So far only the ramp")],
)
def test_before_a_rate_is_tried_the_report_has_no_arms(minutes, beginning, tmp_path, capsys):
    """Made-up runs: the timing alone, and the ramps."""
    sweep = FakeRecommend(tmp_path / "study", budget_minutes=minutes)
    sweep.run()
    comparison = report_sweep(sweep.folder)
    assert comparison["arms"] == []
    assert comparison["headline"].startswith(beginning)
    printed = capsys.readouterr().out
    assert comparison["headline"] in printed
    assert comparison["recommendation"]["next_command"] in printed
    assert comparison["headline"] in (sweep.folder / "report.html").read_text()
