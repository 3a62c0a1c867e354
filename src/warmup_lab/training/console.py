"""Progress at the terminal, and stopping a run by Ctrl-C or SIGTERM."""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, ClassVar

from warmup_lab.training.progress_bar import terminal_bar

log = logging.getLogger(__name__)
_LINE_SECONDS = 5.0


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM: the run saved its checkpoint and stopped.

    It is no `Exception`, so that `except Exception` lets it pass.
    """

    def __init__(self, signal_number: int, step: int, total_steps: int, *, forced: bool = False) -> None:
        command = "the same command without force=true" if forced else "the same command"
        super().__init__(f"stopped after update {step} of {total_steps}; {command} resumes there")
        self.exit_status = 128 + signal_number


class StopSignal:
    """Notes Ctrl-C or SIGTERM and says so, so that the work inside can save and stop; a second one stops at once.

    Blocks nest, as those of a sweep and of its runs do: all of them note a signal, and the outermost one answers it. A
    block that starts after a signal has noted it from the start.
    """

    blocks: ClassVar[list[StopSignal]] = []
    """The blocks that this process is in, outermost first."""
    says_so: ClassVar[bool] = True
    """Whether the outermost block tells the user that a signal has arrived."""
    signals: ClassVar[tuple[int, ...]] = (signal.SIGINT, signal.SIGTERM)
    """The signals that the block notes."""

    def __init__(self) -> None:
        self.signal_number = self.num_signals = 0
        self._previous: dict[int, Any] = {}
        self._exit = contextlib.ExitStack()

    def __enter__(self) -> StopSignal:
        if threading.current_thread() is threading.main_thread():  # Python allows signal handlers nowhere else
            self.signal_number = stop_requested()
            if not self.blocks and self.says_so:
                self._exit.enter_context(_announced_signals(self))
            self.blocks.append(self)
            for number in self.signals:
                self._previous[number] = signal.signal(number, self._receive)
        return self

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        first = not stop_requested()
        for block in self.blocks:
            block.signal_number = block.signal_number or number
            block.num_signals += 1
        self.blocks[0].answer(number, first=first)

    @property
    def announcement(self) -> str:
        """What the outermost block tells the user when a signal arrives."""
        return "stopping, saving checkpoints; Ctrl-C again stops at once"

    def answer(self, _number: int, *, first: bool) -> None:
        """Called in the outermost block at each signal."""
        if not first:
            raise KeyboardInterrupt

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        if self._previous:
            self.blocks.remove(self)
        self._exit.close()


def stop_requested() -> int:
    """The signal that told this process to stop; 0 if there was none, or outside of a `StopSignal`."""
    return StopSignal.blocks[0].signal_number if StopSignal.blocks else 0


@contextmanager
def _announced_signals(block: StopSignal) -> Iterator[None]:
    """Tells the user at once that a signal has arrived.

    A thread does so, because the main thread handles a signal only after its current call into torch, which may take
    seconds.
    """
    receiver, sender = socket.socketpair()
    sender.setblocking(False)
    previous = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
    thread = threading.Thread(target=_announce, args=(receiver, block), daemon=True)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(previous)
        sender.close()
        thread.join()


def _announce(receiver: socket.socket, block: StopSignal) -> None:
    """Waits for the first signal, and until the end of the block."""
    said = False
    with receiver:
        while numbers := receiver.recv(1):  # one byte a signal
            if not said and numbers[0] in (signal.SIGINT, signal.SIGTERM):
                # One write, so that an unbuffered main thread (PYTHONUNBUFFERED) prints nothing inside the line.
                print(f"{block.announcement}\n", end="", file=sys.stderr, flush=True)
                said = True


class Stopwatch:
    """Wall time in laps, seconds."""

    def __init__(self) -> None:
        self._started = time.perf_counter()

    def lap(self) -> float:
        """Seconds since the last lap, or since the start."""
        now = time.perf_counter()
        elapsed, self._started = now - self._started, now
        return elapsed


class ProgressLine:
    """A bar with loss, learning rate and time left on a terminal; otherwise a log line every few seconds."""

    def __init__(self, name: str, step: int, total_steps: int, *, enabled: bool = True) -> None:
        self._name, self._step, self._total_steps = name, step, total_steps
        self._first_step, self._started = step, time.monotonic()
        self._due = self._started + _LINE_SECONDS
        self._enabled, self._bar, self._exit = enabled, None, contextlib.ExitStack()

    def __enter__(self) -> ProgressLine:
        if self._enabled and sys.stderr.isatty():
            options = {"total": self._total_steps, "initial": self._step, "desc": self._name, "unit": "update"}
            self._bar = self._exit.enter_context(terminal_bar(**options))
        return self

    def update(self, loss: float, lr: float) -> None:
        """One more update is made, with this loss (nats) and learning rate."""
        self._step += 1
        if self._bar is not None:
            self._bar.set_postfix_str(f"loss {loss:.4f}, lr {lr:.2e}", refresh=False)
            self._bar.update()
        elif self._enabled and time.monotonic() >= self._due:
            self._due = time.monotonic() + _LINE_SECONDS
            log.info(
                "update %d of %d, loss %.4f, lr %.2e, %s left",
                self._step, self._total_steps, loss, lr, format_seconds(self._seconds_left()),
            )  # fmt: skip

    def _seconds_left(self) -> float:
        elapsed = time.monotonic() - self._started
        return elapsed / (self._step - self._first_step) * (self._total_steps - self._step)

    def __exit__(self, *_: object) -> None:
        self._exit.close()


def format_seconds(seconds: float) -> str:
    """`42 s`, `3 min 20 s` or `2 h 5 min`.

    >>> format_seconds(42), format_seconds(200), format_seconds(7500)
    ('42 s', '3 min 20 s', '2 h 5 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
