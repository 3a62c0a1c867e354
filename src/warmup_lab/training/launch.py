"""The processes that `accelerate launch` or `torchrun` started for one run, and how one failure ends all of them.

Process 0 alone writes: to the terminal, the run's folder and W&B. A process that fails tells the others through the
store of the launcher, a key-value server that exists before the processes have anything else in common. Nothing heavy
is imported unless this process was launched.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING

from warmup_lab.config import ConfigError

if TYPE_CHECKING:
    from torch.distributed import Store  # type: ignore[attr-defined]

_POLL_SECONDS = 0.2
_CONNECT_SECONDS = 10.0
_NOTICE_SECONDS = 5.0
"""Time in which the main thread notices that another process failed. It may be far from the next call to the others."""
_GRACE_SECONDS = 10.0
"""Time that a process waits after a failure until process 0 has written what is left to write."""


_NOTHING_WRITTEN = {
    "hydra.run.dir": ".", "hydra.output_subdir": "null", "hydra.job_logging.handlers.file.filename": os.devnull,
}  # fmt: skip
"""Overrides with which Hydra creates no folder and no file."""


class ProcessFailed(ConfigError):
    """Another process of the run failed, or can no longer be reached."""


@dataclass
class Launch:
    """This process among those of the run."""

    rank: int
    """0 is the process that writes."""
    num_processes: int
    """Over all machines."""
    num_local: int
    """Processes on this machine."""
    told_to_stop: bool = False
    """Whether the launcher, or a user, is ending this process, and so does not wait for it."""
    _noticed: threading.Event = field(default_factory=threading.Event)

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    def prepare(self, words: list[str]) -> None:
        """Adds overrides with which Hydra writes nothing to a command line, except in process 0.

        Raises:
            ConfigError: it is that of a multirun, which each process would start as a whole.
        """
        if any(map(_starts_multirun, words)):
            raise ConfigError(
                f"-m trains many runs, stacked or one by one, and {self.num_processes} processes were launched to "
                "share one run: start the multirun with python train.py -m"
            )
        if not self.is_main:
            words += [f"{key}={value}" for key, value in _NOTHING_WRITTEN.items()]

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Inside, the failure of another process ends this one, and only process 0 prints.

        With `HYDRA_FULL_ERROR=1` all processes write to stderr, for their tracebacks.
        """
        thread = threading.Thread(target=self._watch, daemon=True)
        thread.start()
        with contextlib.ExitStack() as stack:
            if not self.is_main:
                nowhere = stack.enter_context(open(os.devnull, "w"))  # noqa: PTH123 - no file of ours
                stack.enter_context(contextlib.redirect_stdout(nowhere))
                if os.environ.get("HYDRA_FULL_ERROR") != "1":
                    stack.enter_context(contextlib.redirect_stderr(nowhere))
            try:
                yield
            finally:
                self._noticed.set()
                thread.join()

    def report(self, error: BaseException | str) -> None:
        """Tells the other processes that this one failed. The first report counts."""
        text = error if isinstance(error, str) else described(error)
        with contextlib.suppress(RuntimeError):
            store = _connected_store()
            if store and store.add("failures", 1) == 1:
                store.set("failure", f"{self.rank} {text}")

    def failure(self, wait: float = 0) -> str | None:
        """What another process reported: `process 1 of 2: ...`. `wait`: seconds until the report may arrive."""
        deadline = time.monotonic() + wait
        while not (found := self._reported()) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        if found:
            self._noticed.set()
        return found

    def _reported(self) -> str | None:
        with contextlib.suppress(RuntimeError):
            store = _connected_store()
            if store and store.check(["failure"]):
                rank, _, text = store.get("failure").decode().partition(" ")
                return f"process {rank} of {self.num_processes}: {text}" if int(rank) != self.rank else None
        return None

    def ended_by(self, error: Exception, message: str | None) -> str | None:
        """The message about what ended this process, and tells the others. None if a traceback is needed.

        Args:
            error: what was raised here.
            message: the same in plain words, None if a traceback is needed.
        """
        elsewhere = self.failure()
        if message is not None and not isinstance(error, ProcessFailed):  # all find the same mistake of the user
            elsewhere = None
        if elsewhere is None:
            self.report(message or error)
        return elsewhere or message

    def leave(self, status: int) -> None:
        """Ends the common part. After a failure process 0 goes first: launchers end the processes that are left."""
        disconnect(failed=status != 0)
        with contextlib.suppress(RuntimeError):
            store = _connected_store()
            if store and self.is_main:
                store.set("ended", str(status))
            elif store and status and not self.told_to_stop:
                deadline = time.monotonic() + _GRACE_SECONDS
                while time.monotonic() < deadline and not store.check(["ended"]):
                    time.sleep(_POLL_SECONDS)

    def _watch(self) -> None:
        """Waits for a failure elsewhere, and ends this process if its main thread does not notice."""
        while not self._noticed.wait(_POLL_SECONDS):
            if reported := self._reported():
                abort_collectives()  # the main thread may wait for the process that failed
                if not self._noticed.wait(_NOTICE_SECONDS):
                    if self.is_main:
                        print(f"error: {reported}", file=sys.__stderr__, flush=True)
                    os._exit(1)


@cache
def launched() -> Launch | None:
    """This process among those of the run; None if it was started alone."""
    environment = os.environ
    if "TORCHELASTIC_RUN_ID" not in environment or int(environment.get("WORLD_SIZE", "1")) < 2:
        return None
    return Launch(int(environment["RANK"]), int(environment["WORLD_SIZE"]), int(environment["LOCAL_WORLD_SIZE"]))


def _starts_multirun(word: str) -> bool:
    """argparse takes `--multi` for `--multirun` too; no other flag of Hydra begins with `--m`."""
    is_flag = word.startswith("--m") and "--multirun".startswith(word)
    return is_flag or word == "-m" or word.lower() == "hydra.mode=multirun"


def described(error: BaseException) -> str:
    """The error in one line."""
    text = " ".join(str(error).split())
    if isinstance(error, ConfigError):
        return text
    return f"{type(error).__name__}: {text} (HYDRA_FULL_ERROR=1 shows the traceback)"


def abort_collectives() -> None:
    """Gives up what is under way between the processes: NCCL waits for ever for one that no longer takes part.

    Gloo has nothing to give up: it raises an error as soon as a process closes its connections.
    """
    import torch.distributed as dist

    if dist.is_available() and dist.is_initialized():
        group = dist.group.WORLD
        with contextlib.suppress(RuntimeError):
            if group is not None:
                group.abort()


def disconnect(*, failed: bool) -> None:
    """Closes the connections to the other processes, if there are any; they see that at once."""
    import torch.distributed as dist

    if failed:
        abort_collectives()
    if dist.is_available() and dist.is_initialized():
        with contextlib.suppress(RuntimeError):
            dist.destroy_process_group()


@cache
def _connected_store() -> Store | None:
    """The launcher's store; None if there is none that this process can use."""
    import torch.distributed as dist

    host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    try:
        store = dist.TCPStore(  # type: ignore[attr-defined]
            host, port, is_master=False, timeout=timedelta(seconds=_CONNECT_SECONDS)
        )
    except RuntimeError:
        return None
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    return dist.PrefixStore(f"warmup_lab/{attempt}", store)  # type: ignore[attr-defined]
