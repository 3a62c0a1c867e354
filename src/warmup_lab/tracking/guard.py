"""What keeps wandb from stopping a run: `Guard` makes the calls into it, and probes say whether it can go online.

The first failure, or the first call that does not answer in time, is said once; from then on the guard is quiet.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import math
import queue
import socket
import threading
import time
import urllib.request
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import wandb


logger = logging.getLogger(__name__)

# Seconds, for a service or a server that answers nothing at all.
PROBE, CALL, ABANDON = 2.0, 15.0, 3.0


class Guard:
    """Makes the calls into wandb, one after another, in a thread; what they raise or block stays there."""

    def __init__(self) -> None:
        self.quiet = False
        self._calls: queue.SimpleQueue[tuple[Callable[[], object], float] | None] = queue.SimpleQueue()
        self._deadline = math.inf
        self._done = threading.Event()
        # A daemon: a call that never returns must not keep the process alive.
        threading.Thread(target=self._work, name="wandb-guard", daemon=True).start()

    def call(self, function: Callable[[], object], seconds: float = CALL) -> None:
        """Queues a call; returns at once."""
        if not self.quiet and not self._overrun():
            self._calls.put((function, seconds))

    def drop(self) -> None:
        """Forgets what is queued."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._calls.get_nowait()

    def close(self, seconds: float = math.inf) -> None:
        """Waits for the queued calls: for each within its limit, for all within `seconds`."""
        self._calls.put(None)
        limit = time.monotonic() + seconds
        while not self._done.wait(0.05):
            if time.monotonic() > limit:
                self.quiet = True
                _end_service()
            if self.quiet or self._overrun():
                self._done.wait(ABANDON)
                return

    def _work(self) -> None:
        while call := self._calls.get():
            function, seconds = call
            self._deadline = time.monotonic() + seconds
            try:
                function()
            except BaseException as error:  # wandb calls sys.exit, too
                self._fail(first_line(error))
                _forget_dead_service()
                break
            finally:
                self._deadline = math.inf
        self._done.set()

    def _overrun(self) -> bool:
        if time.monotonic() <= self._deadline:
            return False
        self._fail("it does not answer")
        _end_service()
        return True

    def _fail(self, why: str) -> None:
        if not self.quiet:
            logger.warning("W&B stopped recording this run (%s). It goes on, and its local files are whole.", why)
        self.quiet = True


def first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0] or type(error).__name__


def _service() -> Any:
    from wandb.sdk import wandb_setup

    return wandb_setup.singleton()._connection._proc._process  # type: ignore[union-attr]


def _end_service() -> None:
    """Ends a service that does not answer: calls that block then raise, and the process can exit."""
    with contextlib.suppress(Exception):
        _service().kill()


def _forget_dead_service() -> None:
    """Lets the next run of this process start a service anew, and spares the process a traceback at its exit."""
    with contextlib.suppress(Exception, SystemExit):
        _service().wait(timeout=1)
        import wandb

        wandb.teardown()


def key_problem(settings: wandb.Settings) -> str:
    """Why wandb finds no API key, in words; empty where it finds one. Never a prompt."""
    from wandb.sdk.lib import wbauth

    try:
        host = wbauth.HostUrl(settings.base_url, app_url=settings.app_url)
        found = wbauth.authenticate_session(host=host, source="warmup-lab", prompt=False, update_session=False)
    except Exception as error:
        return f"the API key cannot be used: {first_line(error)}"
    return "" if found else "there is no API key (`wandb login`, or WANDB_API_KEY)"


@functools.cache
def reachable(url: str) -> bool:
    """Whether the server, or the proxy before it, takes a connection; asked once a process."""
    connected = threading.Event()

    def connect() -> None:
        parts = urllib.parse.urlsplit(url)
        proxy = urllib.request.getproxies().get(parts.scheme)
        if proxy and not urllib.request.proxy_bypass(parts.hostname or ""):
            parts = urllib.parse.urlsplit(proxy if "//" in proxy else f"//{proxy}")
        with contextlib.suppress(OSError, ValueError):
            address = (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
            socket.create_connection(address, timeout=PROBE).close()
            connected.set()

    # A thread, for looking up the name heeds no timeout.
    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(PROBE)
    return connected.is_set()
