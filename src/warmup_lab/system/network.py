"""One check of whether a host answers."""

from __future__ import annotations

import ssl
import threading
import urllib.request
from functools import cache

_PATIENCE = 6.0  # seconds to wait for an answer of the hub


@cache
def reachable(url: str) -> bool:
    """Whether a server answers at `url`, through the system's proxy if there is one."""
    answers: list[bool] = []
    # In a thread: looking up a name can take much longer than the timeout of the connection.
    thread = threading.Thread(target=lambda: answers.append(_answers(url)), daemon=True)
    thread.start()
    thread.join(_PATIENCE)
    return answers == [True]


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=_PATIENCE):
            return True
    except urllib.error.HTTPError:
        return True
    except urllib.error.URLError as error:
        return isinstance(error.reason, ssl.SSLError)  # it is there; the library can say what is wrong
    except (OSError, ValueError):
        return False
