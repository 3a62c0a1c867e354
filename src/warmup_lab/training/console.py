"""Progress at the terminal, and stopping a run by Ctrl-C or SIGTERM."""

from __future__ import annotations

import logging
import signal
import sys
import threading
import time
from types import FrameType
from typing import Any

log = logging.getLogger(__name__)
_LINE_SECONDS = 5.0


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM: the run saved its checkpoint and stopped.

    It is no `Exception`, so that `except Exception` lets it pass.
    """

    def __init__(self, signal_number: int, step: int, total_steps: int) -> None:
        super().__init__(f"stopped after update {step} of {total_steps}; the same command resumes there")
        self.exit_status = 128 + signal_number


class StopSignal:
    """Notes Ctrl-C or SIGTERM, so that the loop can stop after the current update; a second Ctrl-C stops at once."""

    def __init__(self) -> None:
        self.signal_number = 0
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> StopSignal:
        if threading.current_thread() is threading.main_thread():  # Python allows signal handlers nowhere else
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._note)
        return self

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if self.signal_number:
            raise KeyboardInterrupt
        self.signal_number = number

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)


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
        self._enabled, self._bar = enabled, None

    def __enter__(self) -> ProgressLine:
        if self._enabled and sys.stderr.isatty():
            from tqdm import tqdm

            self._bar = tqdm(total=self._total_steps, initial=self._step, desc=self._name, unit="update")
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
        if self._bar is not None:
            self._bar.close()


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
