"""Slurm's queue, read with `squeue`: `sacct` needs an accounting database, which a cluster may not have."""

from __future__ import annotations

import logging
import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from warmup_lab.config import ConfigError

log = logging.getLogger(__name__)
T = TypeVar("T")
COMMANDS = ("sbatch", "srun", "squeue", "scontrol", "scancel")
"""Commands that submitit and this module call."""
_FORMAT = "--format=%i|%T|%r|%k"
_SECONDS = 60
_DEFAULT_MAX_ARRAY = 1001


@dataclass(frozen=True)
class QueuedTask:
    """A task that Slurm has not finished."""

    job_id: str
    """`12_3` in an array, `12` otherwise."""
    state: str
    """For example `RUNNING`."""
    reason: str
    """Why it is pending."""
    launch: str
    """The comment of the job: the id of the launch that submitted it."""

    @property
    def index(self) -> int:
        """Position in its array; 0 without one."""
        return int(self.job_id.partition("_")[2] or 0)

    @property
    def held(self) -> bool:
        """Whether it will not start until somebody releases it."""
        return self.state == "PENDING" and "held" in self.reason.lower()


def parse_squeue(text: str) -> dict[str, QueuedTask]:
    """Job id -> task, from lines such as `12_3|RUNNING|None|0f3a`. Lines of another form are skipped."""
    rows = (line.strip().split("|", 3) for line in text.splitlines())
    return {row[0]: QueuedTask(*row) for row in rows if len(row) == 4 and re.fullmatch(r"\d+(_\d+)?", row[0])}


def parse_max_array_size(text: str) -> int:
    """`MaxArraySize` in the output of `scontrol show config`: indices of an array are below it."""
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", text, re.MULTILINE)
    return max(1, int(found[1])) if found else _DEFAULT_MAX_ARRAY


def split(items: Sequence[T], size: int) -> list[Sequence[T]]:
    """Consecutive parts of at most `size` items."""
    return [items[start : start + size] for start in range(0, len(items), size)]


def read_queue() -> dict[str, QueuedTask] | None:
    """The unfinished tasks of this user; None if Slurm does not answer, which says nothing about the tasks."""
    try:
        told = _call("squeue", "--me", "--array", "--noheader", _FORMAT)
    except (subprocess.SubprocessError, OSError) as error:
        log.debug("squeue: %s", error)
        return None
    return parse_squeue(told)


def max_array_size() -> int:
    """Slurm's limit on the size of an array."""
    try:
        return parse_max_array_size(_call("scontrol", "show", "config"))
    except subprocess.SubprocessError as error:
        raise ConfigError(f"Slurm does not answer: {getattr(error, 'stderr', None) or error}") from None


def parse_num_cores(text: str) -> int | None:
    """Cores in the output of `sinfo --format=%C`: allocated, idle, other and total of each kind of node."""
    found = re.findall(r"^(\d+)/(\d+)/\d+/\d+$", text, re.MULTILINE)
    return sum(int(allocated) + int(idle) for allocated, idle in found) or None


def num_cores(partition: str | None) -> int | None:
    """Cores of a partition, or of all, that are up; None if Slurm does not say."""
    chosen = [f"--partition={partition}"] if partition else []
    try:
        return parse_num_cores(_call("sinfo", "--noheader", "--format=%C", *chosen))
    except (subprocess.SubprocessError, OSError) as error:
        log.debug("sinfo: %s", error)
        return None


def own_id() -> str:
    """Id of the task that this process runs in: `16_1` in the job array 16, or the id of a job that is no array.

    In an array it is not SLURM_JOB_ID: for the last task, that is the id of the whole array.
    """
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    return f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}" if array else os.environ["SLURM_JOB_ID"]


def state_of(job_id: str) -> str:
    """State of a job, for example `RUNNING` or `CANCELLED`; `UNKNOWN` if Slurm does not say."""
    try:
        told = _call("scontrol", "--oneliner", "show", "job", job_id)
    except (subprocess.SubprocessError, OSError):
        return "UNKNOWN"
    found = re.search(r"\bJobState=(\w+)", told)
    return found[1] if found else "UNKNOWN"


def requeue(job_id: str) -> None:
    """Puts a running job back into the queue, which ends it."""
    _call("scontrol", "requeue", job_id)


def cancel(job_ids: Sequence[str]) -> None:
    """Cancels jobs. Runs that are training save checkpoints within Slurm's `KillWait`."""
    for part in split(job_ids, 500):
        _call("scancel", *part)


def _call(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=True).stdout
