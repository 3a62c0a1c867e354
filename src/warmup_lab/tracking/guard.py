"""`Guard` makes all calls into wandb, so that wandb cannot stop or delay a run. `key_problem` looks for an API key."""

from __future__ import annotations

import contextlib
import logging
import math
import queue
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import wandb


logger = logging.getLogger(__name__)

CALL_SECONDS = 15.0
"""Time limit of one call into wandb."""
ABANDON_SECONDS = 3.0
"""Time limit for closing an interrupted run, and for the thread to end after a failure."""


class Guard:
    """Makes calls into wandb in a thread of its own, one after another.

    After the first call that raises or exceeds its time limit, the guard logs one warning and makes no more calls.
    """

    def __init__(self) -> None:
        self.failed = False
        self._calls: queue.SimpleQueue[tuple[Callable[[], object], float] | None] = queue.SimpleQueue()
        self._deadline = math.inf
        self._done = threading.Event()
        # A daemon thread: a call that never returns must not keep the process alive.
        threading.Thread(target=self._work, name="wandb-guard", daemon=True).start()

    def call(self, function: Callable[[], object], seconds: float = CALL_SECONDS) -> None:
        """Queues a call with a time limit and returns at once."""
        if not self.failed and not self._timed_out():
            self._calls.put((function, seconds))

    def clear(self) -> None:
        """Removes all queued calls."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._calls.get_nowait()

    def close(self, seconds: float = math.inf) -> None:
        """Waits for the queued calls: at most the time limit of each call, and at most `seconds` in total."""
        self._calls.put(None)
        limit = time.monotonic() + seconds
        while not self._done.wait(0.05):
            if time.monotonic() > limit:
                self.failed = True
                _kill_service()
            if self.failed or self._timed_out():
                self._done.wait(ABANDON_SECONDS)
                return

    def _work(self) -> None:
        while call := self._calls.get():
            function, seconds = call
            self._deadline = time.monotonic() + seconds
            try:
                function()
            except BaseException as error:  # wandb also calls sys.exit
                self._fail(first_line(error))
                _forget_dead_service()
                break
            finally:
                self._deadline = math.inf
        self._done.set()

    def _timed_out(self) -> bool:
        if time.monotonic() <= self._deadline:
            return False
        self._fail("it does not respond")
        _kill_service()
        return True

    def _fail(self, reason: str) -> None:
        if not self.failed:
            logger.warning(
                "W&B no longer records this run (%s). The run continues; its local files are complete.", reason
            )
        self.failed = True


def first_line(error: BaseException) -> str:
    """First line of the message, or the name of the error's class if there is no message."""
    return str(error).strip().split("\n")[0] or type(error).__name__


def _service() -> Any:
    """The process of wandb's service. wandb has no public name for it; tested with wandb 0.31."""
    from wandb.sdk import wandb_setup

    return wandb_setup.singleton()._connection._proc._process  # type: ignore[union-attr]


def _kill_service() -> None:
    """Kills a service that does not respond. Calls that wait for it then raise, and the process can exit."""
    with contextlib.suppress(Exception):
        _service().kill()


def _forget_dead_service() -> None:
    """Lets the next run of this process start a new service, and avoids a traceback when the process exits."""
    with contextlib.suppress(Exception, SystemExit):
        _service().wait(timeout=1)
        import wandb

        wandb.teardown()


def key_problem(settings: wandb.Settings) -> str:
    """Why wandb has no usable API key; empty if it has one. Never prompts."""
    from wandb.sdk.lib import wbauth

    try:
        host = wbauth.HostUrl(settings.base_url, app_url=settings.app_url)
        found = wbauth.authenticate_session(host=host, source="warmup-lab", prompt=False, update_session=False)
    except Exception as error:
        return f"the API key cannot be used: {first_line(error)}"
    return "" if found else "there is no API key (`wandb login`, or WANDB_API_KEY)"
