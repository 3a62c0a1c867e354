"""A Slurm cluster of one node on loopback, as children of this process."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "scancel")
_SYSTEM_PROGRAMS = "/usr/sbin:/sbin"
_CONF = """\
ClusterName=warmuplab
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CryptoType=crypto/munge
AuthInfo=socket={folder}/munge/socket
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
ReturnToService=2
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MaxArraySize={max_array_size}
KillWait=20
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=60 State=UP
"""


def unmet_needs(path: str = os.environ["PATH"], user: int = os.getuid()) -> str | None:
    """Why a cluster cannot be started here; None if it can."""
    missing = [name for name in PROGRAMS if shutil.which(name, path=f"{path}:{_SYSTEM_PROGRAMS}") is None]
    if missing:
        return (
            f"make test-slurm needs {', '.join(missing)}, not found on this machine. "
            "On Debian: apt-get install slurmctld slurmd slurm-client munge"
        )
    if user != 0:
        return "make test-slurm needs root: munged and slurmd start their processes as other users"
    return None


def _free_ports(count: int) -> list[int]:
    with ExitStack() as opened:
        sockets = [opened.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@contextmanager
def slurm_cluster(folder: Path, *, cpus: int = 4, max_array_size: int = 4) -> Iterator[dict[str, str]]:
    """Starts munged, slurmctld and slurmd. Yields the environment for Slurm's commands.

    Everything is stopped by process id at the end. Without accounting, as `sacct` then fails.
    """
    for name in ("munge", "state", "spool"):
        (folder / name).mkdir(mode=0o755)
    key = folder / "munge" / "key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    controller_port, node_port = _free_ports(2)
    conf = folder / "slurm.conf"
    host = socket.gethostname().partition(".")[0]
    values = {"folder": folder, "host": host, "cpus": cpus, "max_array_size": max_array_size}
    conf.write_text(_CONF.format(**values, controller_port=controller_port, node_port=node_port))
    environment = {**os.environ, "SLURM_CONF": str(conf)}
    munge = [
        "munged", "--foreground", "--force", f"--key-file={key}", f"--socket={folder}/munge/socket",
        f"--pid-file={folder}/munge/pid", f"--log-file={folder}/munge/log", f"--seed-file={folder}/munge/seed",
    ]  # fmt: skip
    with ExitStack() as started:
        for command in (munge, ["slurmctld", "-D", "-f", str(conf)], ["slurmd", "-D", "-f", str(conf)]):
            started.enter_context(_child(command, folder, environment))
        _wait_until_idle(environment, folder)
        started.callback(_end_tasks, environment)
        yield environment


def _end_tasks(environment: dict[str, str]) -> None:
    """Kills what a failed test left in the queue: tasks go on without slurmd."""
    for words in (["--signal=KILL", "--full"], []):
        subprocess.run(["scancel", "--me", *words], env=environment, check=False)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        told = subprocess.run(["squeue", "--noheader"], env=environment, capture_output=True, check=False)
        if not told.stdout:
            return
        time.sleep(0.5)


@contextmanager
def _child(command: list[str], folder: Path, environment: dict[str, str]) -> Iterator[None]:
    path = f"{environment['PATH']}:{_SYSTEM_PROGRAMS}"
    with (folder / f"{command[0]}.out").open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env={**environment, "PATH": path})
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_idle(environment: dict[str, str], folder: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        told = subprocess.run(
            ["sinfo", "--noheader", "--format=%T"], env=environment, capture_output=True, text=True, check=False
        )
        if told.stdout.strip() == "idle":
            return
        time.sleep(0.5)
    logs = "\n".join(path.read_text(errors="replace")[-2000:] for path in folder.glob("slurm*.log"))
    raise RuntimeError(f"the node did not become idle: {told.stdout}{told.stderr}\n{logs}")


if __name__ == "__main__":
    sys.exit(unmet_needs())
