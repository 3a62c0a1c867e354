"""`Guard` makes all calls into wandb, so that wandb cannot stop or delay a run."""

from __future__ import annotations

import collections
import contextlib
import itertools
import logging
import math
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from warmup_lab.tracking.command import Command
from warmup_lab.tracking.service import (
    Process,
    close_connection,
    current_service,
    end_service,
    has_ended,
    kill_service,
    last_words,
)

logger = logging.getLogger(__name__)

CALL_SECONDS = 15.0
"""Time limit of one call into wandb."""
ABANDON_SECONDS = 3.0
"""Time limit for closing an interrupted run, and for a call to raise after its service was killed."""
EXIT_SECONDS = 2.0
"""Time limit for the service to end when this process exits."""
MAX_KEPT_ROWS = 50_000
"""A run that is recorded again has between half of and all of so many rows, or all if it has fewer."""
_WATCH_SECONDS = 0.1


@dataclass(frozen=True)
class Call:
    """A call into wandb."""

    function: Callable[[], object]
    seconds: float
    """Its time limit."""
    is_row: bool = False
    """Whether it logs one of many rows."""


class Recover(Protocol):
    """Prepares for making all calls again. Returns whether that can help."""

    def __call__(self, reason: str, *, is_interrupted: bool) -> bool:
        """`is_interrupted` says that a call exceeded its time limit, so its service was killed."""


class Guard:
    """Makes calls into wandb in a thread of its own, one after another.

    If a call raises or exceeds its time limit, the guard calls `recover`. If that returns True, it makes all calls once
    more, from the first on. Otherwise it logs one warning and makes no more calls.
    """

    def __init__(self, command: Command, recover: Recover) -> None:
        """`recover` is called in the guard's thread."""
        self.command = command
        self.failed = False
        self.service: Process | None = None
        """The service that the calls use, once it is known. None if other code has started it."""
        self._recover: Recover | None = recover
        self._reason = ""
        self._queue: queue.SimpleQueue[Call | None] = queue.SimpleQueue()
        self._made: list[Call] = []
        self._num_rows = 0
        self._deadline = math.inf
        self._is_ended = self._is_abandoned = False
        self._report_end: Callable[[], None] = lambda: None
        self._done = threading.Event()
        _watch(self)
        # A daemon thread: a call that never returns must not keep the process alive.
        threading.Thread(target=self._work, name="wandb-guard", daemon=True).start()

    def call(self, function: Callable[[], object], seconds: float = CALL_SECONDS, *, is_row: bool = False) -> None:
        """Queues a call with a time limit and returns at once."""
        if not self.failed:
            self._queue.put(Call(function, seconds, is_row))

    def end(self) -> None:
        """Says that no calls follow. The calls are made in the background; see `Command.wait`."""
        self._report_end = self.command.finish_later(self)
        self._is_ended = True
        self._queue.put(None)
        if self.is_done:
            self._report_end()

    def abandon(self, call: Call) -> None:
        """Replaces the queued calls by one and waits at most `ABANDON_SECONDS` for it."""
        self._recover, self._is_abandoned = None, True
        with contextlib.suppress(queue.Empty):
            while True:
                self._queue.get_nowait()
        self._queue.put(call)
        self._queue.put(None)
        if not self._done.wait(ABANDON_SECONDS):
            self.give_up("stopped")
            self._done.wait(ABANDON_SECONDS)

    # --- what `Command.wait` uses

    @property
    def is_done(self) -> bool:
        return self._done.is_set()

    def record_again(self, reason: str) -> None:
        if self._recover:
            self._interrupt(reason)

    def give_up(self, reason: str) -> None:
        if self.failed:
            return
        self._recover = None
        self._fail(reason)
        kill_service(self.service or current_service())

    # --- in other threads

    def check(self) -> None:
        """Interrupts a call that has exceeded its time limit, and follows what the command says. Called regularly."""
        if time.monotonic() > self._deadline:
            self._deadline = math.inf
            self._interrupt("wandb-core does not respond")
        elif self._is_ended and (reason := self.command.give_up_reason):
            self.give_up(reason)
        elif self._is_ended and not self._reason and (reason := self.command.again_reason):
            self.record_again(reason)

    def _interrupt(self, reason: str) -> None:
        if not self._reason:
            self._reason = reason
        kill_service(self.service or current_service())

    def _work(self) -> None:
        todo: collections.deque[Call] = collections.deque()
        while call := todo.popleft() if todo else self._queue.get():
            try:
                self._deadline = time.monotonic() + call.seconds
                call.function()
                self._made.append(call)
                self._thin_out(call)
            except BaseException as error:  # wandb also calls sys.exit
                self._deadline = math.inf
                reason = self._reason or last_words() or self._ended_reason() or first_line(error)
                recover, self._recover = self._recover, None
                if recover is None or not recover(reason, is_interrupted=bool(self._reason)):
                    self._fail(reason)
                    if self.service and has_ended(self.service):
                        end_service(self.service)  # so that the next run starts a new one
                    break
                todo.extendleft(reversed([*self._made, call]))
                self._made, self._num_rows, self._reason = [], 0, ""
            finally:
                self._deadline = math.inf
        self._made = []
        _watched.discard(self)
        self._done.set()
        self._report_end()

    def _ended_reason(self) -> str:
        """Empty unless the service has ended: the errors of wandb then name no reason."""
        return "wandb-core has ended" if self.service and has_ended(self.service) else ""

    def _thin_out(self, call: Call) -> None:
        """Keeps every second row if there are too many, so that a long run does not fill the memory."""
        self._num_rows += call.is_row
        if self._num_rows > MAX_KEPT_ROWS:
            number = itertools.count()
            self._made = [call for call in self._made if not call.is_row or next(number) % 2 == 0]
            self._num_rows = sum(call.is_row for call in self._made)

    def _fail(self, reason: str) -> None:
        if not (self.failed or self._is_abandoned):
            logger.warning(
                "W&B no longer records this run (%s). The run continues; its local files are complete.", reason
            )
            if not self._made:  # the run could not even be opened
                self.command.give_up_wandb(reason)
        self.failed = True


def first_line(error: BaseException) -> str:
    """First line of the message, or the name of the error's class if there is no message."""
    return str(error).strip().split("\n")[0] or type(error).__name__


_watched: set[Guard] = set()
_to_kill: list[tuple[float, Process]] = []
_watching = threading.Lock()
_watcher: threading.Thread | None = None


def _watch(guard: Guard) -> None:
    """Has `guard.check` called regularly, in one thread for all guards of this process."""
    global _watcher
    with _watching:
        _watched.add(guard)
        if _watcher is None or not _watcher.is_alive():  # not alive in a forked process
            _watcher = threading.Thread(target=_watch_all, name="wandb-watch", daemon=True)
            _watcher.start()


def _watch_all() -> None:
    while True:
        time.sleep(_WATCH_SECONDS)
        for guard in list(_watched):
            guard.check()
        for limit, process in list(_to_kill):
            if time.monotonic() > limit:
                kill_service(process)


def end_at_exit() -> None:
    """Ends the service when this process exits: wandb would wait for a suspended one without a limit."""
    for command in {guard.command for guard in list(_watched)}:
        command.wait()
    if process := current_service():
        _to_kill.append((time.monotonic() + EXIT_SECONDS, process))
        close_connection()
