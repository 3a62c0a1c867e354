from __future__ import annotations

from warmup_lab.sweeps.slurm_queue import parse_max_array_size, parse_squeue, split


def test_parse_squeue() -> None:
    """Lines as squeue 22.05 prints them with `--array`; the last one is a message."""
    tasks = parse_squeue(
        "12_0|RUNNING|None|ab12\n12_3|PENDING|JobHeldUser|ab12\n7|PENDING|BeginTime|(null)\nslurm_load_jobs error\n"
    )
    assert [(task.job_id, task.state, task.index, task.held) for task in tasks.values()] == [
        ("12_0", "RUNNING", 0, False),
        ("12_3", "PENDING", 3, True),
        ("7", "PENDING", 0, False),
    ]
    assert tasks["12_3"].launch == "ab12"


def test_arrays_are_split_at_the_limit_of_the_cluster() -> None:
    assert parse_max_array_size("MaxAcctJobs = 3\nMaxArraySize            = 1001\n") == 1001
    assert [len(part) for part in split(range(5000), 1001)] == [1001, 1001, 1001, 1001, 996]
