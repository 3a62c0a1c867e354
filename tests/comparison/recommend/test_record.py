"""The stored plan of a recommendation."""

import json
from dataclasses import replace

from warmup_lab.comparison.recommend.record import Stage, StoredPlan, own_plan, plan_of_jobs, read_plan

TIMING = Stage("timing", (0,), (0.1,), 10, run_ids=("t",), wall_seconds=2.0)
GRID = Stage("grid", (0, 1), (1e-3, 2e-3), 120, ("a", "b"), 10.0)
PLAN = StoredPlan("what", 5.0, (TIMING, GRID), 240, 24, 12.0, 9, "recommendation", "10 s so far")


def test_a_written_plan_is_read_as_it_was(tmp_path):
    PLAN.write(tmp_path)
    assert read_plan(tmp_path) == PLAN


def test_there_is_none_beside_other_sweeps(tmp_path):
    assert read_plan(tmp_path) is None
    assert plan_of_jobs(tmp_path, [{"run_id": "a"}]) is None


def test_a_plan_belongs_to_its_own_runs_only(tmp_path):
    """A later grid in the same folder is no recommendation; stages that have not begun do not count."""
    PLAN.write(tmp_path)
    assert plan_of_jobs(tmp_path, [{"run_id": "x"}]) is None
    assert plan_of_jobs(tmp_path, [{"run_id": "t"}, {"run_id": "x"}]) is None
    assert plan_of_jobs(tmp_path, [{"run_id": "t"}]).stages == (TIMING,)
    assert plan_of_jobs(tmp_path, [{"run_id": one} for one in "tab"]).stages == (TIMING, GRID)


def test_the_plans_of_two_commands_in_one_folder_are_both_kept(tmp_path):
    other = replace(PLAN, identity="other", budget_minutes=7.0)
    assert not PLAN.write(tmp_path)
    assert other.write(tmp_path)  # the first is set aside
    assert not other.write(tmp_path)
    assert read_plan(tmp_path) == own_plan(tmp_path, "other") == other
    assert own_plan(tmp_path, "what") == PLAN
    assert own_plan(tmp_path, "third") is None
    assert PLAN.write(tmp_path)
    assert read_plan(tmp_path) == PLAN
    assert own_plan(tmp_path, "other") == other
    assert len(list(tmp_path.glob("recommend*.json"))) == 2


def test_sums_over_the_stages():
    assert PLAN.wall_seconds == 2.0
    assert PLAN.run_ids("grid") == {"a", "b"}
    assert PLAN.of_kind("timing", "ramp") == [TIMING]


def test_runs_are_shortened_if_they_are_no_whole_run():
    assert PLAN.is_shortened
    assert not replace(PLAN, full_updates=120).is_shortened
    assert not replace(PLAN, stages=(TIMING,)).is_shortened
    assert PLAN.without_need() == replace(
        PLAN, needed_minutes=None, needed_for=None, needed_parts=None, kept_seconds=None
    )


def test_a_plan_of_an_older_version_is_read(tmp_path):
    """Its ramps were probed, and its runs always whole."""
    PLAN.write(tmp_path)
    stored = json.loads((tmp_path / "recommend.json").read_text())
    for key in ("full_updates", "full_warmup_steps", "needed_parts"):
        del stored[key]
    stored["stages"][1]["probed"] = True
    (tmp_path / "recommend.json").write_text(json.dumps(stored))
    found = read_plan(tmp_path)
    assert found.stages == PLAN.stages
    assert not found.is_shortened
