"""What the launchers of clusters share."""

from __future__ import annotations

import pytest
from hydra.core.utils import JobStatus

from warmup_lab.config import ConfigError
from warmup_lab.sweeps.cluster_jobs import job_returns, planned_jobs, refuse_force
from warmup_lab.sweeps.jobs import Job, write_job_list
from warmup_lab.sweeps.worker import GroupJob

JOBS = [Job([f"seed={seed}"], f"{seed}" * 12, f"run-s{seed}", "arm", {}, None) for seed in range(3)]


def test_jobs_have_the_run_ids_of_the_job_list_and_hydras_numbers(tmp_path):
    write_job_list(tmp_path, "study", JOBS, {})
    jobs = planned_jobs(tmp_path, [["seed=2"], ["seed=0"]], first=5)
    assert jobs == [GroupJob(5, ["seed=2"], "222222222222"), GroupJob(6, ["seed=0"], "000000000000")]


def test_a_job_without_a_result_has_failed(tmp_path):
    (returned,) = job_returns(tmp_path, [GroupJob(0, ["seed=0"], "000000000000")])
    assert returned.status is JobStatus.FAILED
    with pytest.raises(RuntimeError, match="000000000000 left no result"):
        _ = returned.return_value


@pytest.mark.parametrize("word", ["force=true", "+force=True"])
def test_force_is_refused(word):
    with pytest.raises(ConfigError, match="hydra/launcher=ray, because a task that is submitted again would start"):
        refuse_force(["seed=0", word], "ray", "submitted again")
    refuse_force(["seed=0", "force=false"], "ray", "submitted again")
