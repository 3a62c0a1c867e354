from __future__ import annotations

from warmup_lab.sweeps.slurm_queue import parse_max_array_size, parse_num_cores, parse_squeue, split


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


def test_cores_of_nodes_that_are_down_do_not_count() -> None:
    """Lines as sinfo 22.05 prints them for two kinds of nodes: allocated, idle, other and total."""
    assert parse_num_cores("12/20/32/64\n0/4/0/4\n") == 36
    assert parse_num_cores("0/0/8/8\n") is None
    assert parse_num_cores("slurm_load_partitions: Unable to contact slurm controller\n") is None
