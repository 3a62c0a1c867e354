"""The processes of one run: how they know of each other, and of each other's failures."""

from __future__ import annotations

import os
from datetime import timedelta

import pytest
import torch.distributed as dist

from warmup_lab.config.errors import ConfigError
from warmup_lab.training import launch as launch_module
from warmup_lab.training.launch import Launch, ProcessFailed, launched

VARIABLES = {"TORCHELASTIC_RUN_ID": "none", "RANK": "5", "WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4"}


@pytest.fixture
def environment(monkeypatch):
    """Sets variables; what was found in others is forgotten before and afterwards."""

    def set_variables(variables: dict[str, str]) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        for cached in (launched, launch_module._connected_store):
            cached.cache_clear()

    yield set_variables
    monkeypatch.undo()
    set_variables({})


@pytest.fixture
def both(environment) -> list[Launch]:
    """Two processes with the store of a launcher; the second one is in another process in real life."""
    server = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False, timeout=timedelta(seconds=10))
    environment({"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(server.port)})
    yield [Launch(rank, 2, 2) for rank in (0, 1)]
    del server


def test_a_process_that_was_started_alone_is_not_launched(environment):
    environment({})
    assert launched() is None
    environment({**VARIABLES, "WORLD_SIZE": "1"})
    assert launched() is None


def test_the_launcher_says_which_process_this_is(environment):
    environment(VARIABLES)
    found = launched()
    assert (found.rank, found.num_processes, found.num_local, found.is_main) == (5, 8, 4, False)


def test_hydra_writes_in_process_0_alone():
    words = ["train.py", "seed=1"]
    Launch(0, 2, 2).prepare(words)
    assert words == ["train.py", "seed=1"]
    Launch(1, 2, 2).prepare(words)
    assert words[2:] == [
        "hydra.run.dir=.", "hydra.output_subdir=null", f"hydra.job_logging.handlers.file.filename={os.devnull}",
    ]  # fmt: skip


@pytest.mark.parametrize("word", ["-m", "--multirun", "--multi", "hydra.mode=MULTIRUN"])
def test_a_multirun_is_refused(word):
    with pytest.raises(ConfigError, match="-m trains many runs, stacked or one by one, and 2 processes were launched"):
        Launch(0, 2, 2).prepare(["train.py", "seed=1,2", word])


def test_the_others_learn_of_the_first_failure(both):
    assert both[0].failure() is None
    both[1].report(MemoryError("no\nmemory"))
    both[0].report("later")
    expected = "process 1 of 2: MemoryError: no memory (HYDRA_FULL_ERROR=1 shows the traceback)"
    assert both[0].failure() == expected
    assert both[1].failure() is None


def test_process_0_names_the_process_that_failed(both):
    both[1].report(ConfigError("no file a.tsv"))
    expected = "process 1 of 2: no file a.tsv"
    lost = ProcessFailed("lost the connection")
    assert both[0].ended_by(lost, str(lost)) == expected
    assert both[0].ended_by(RuntimeError("NCCL error"), None) == expected


def test_a_mistake_that_all_processes_find_is_that_of_the_user(both):
    both[1].report("unknown key x")
    assert both[0].ended_by(ConfigError("unknown key x"), "unknown key x") == "unknown key x"


def test_an_error_of_process_0_is_its_own_and_known_to_the_others(both):
    assert both[0].ended_by(ZeroDivisionError("oops"), None) is None
    assert both[1].failure().startswith("process 0 of 2: ZeroDivisionError: oops")


def test_after_a_failure_process_0_ends_first(both, monkeypatch):
    """The second process waits until it has, but not for ever."""
    monkeypatch.setattr(launch_module, "_GRACE_SECONDS", 0.3)
    both[1].leave(1)
    both[0].leave(1)
    monkeypatch.setattr(launch_module, "_GRACE_SECONDS", 60)
    both[1].leave(1)


def test_process_0_alone_prints(both, capsys):
    for launch in both:
        with launch.watched():
            print("from", launch.rank)
    assert capsys.readouterr().out == "from 0\n"


def test_without_a_store_nothing_is_known_and_nothing_fails(environment, monkeypatch):
    monkeypatch.setattr(launch_module, "_CONNECT_SECONDS", 0.1)
    environment({"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"})
    launch = Launch(1, 2, 2)
    launch.report("no")
    assert launch.failure() is None
    launch.leave(1)
