"""One check of whether a server answers, used for the Hugging Face hub and for W&B."""

from __future__ import annotations

import http.client
import ssl
import threading
import urllib.error
import urllib.request
from functools import cache

_TIMEOUT = 6.0
"""Seconds to wait for an answer."""


@cache
def reachable(url: str) -> bool:
    """Whether a server answers at `url`, through the system's proxy if one is set.

    Any HTTP status is an answer. The check takes at most 6 seconds and runs once per process and URL.
    """
    answers: list[bool] = []
    # In a thread, because the timeout of a connection does not cover the lookup of the host name.
    thread = threading.Thread(target=lambda: answers.append(_answers(url)), daemon=True)
    thread.start()
    thread.join(_TIMEOUT)
    return answers == [True]


def _answers(url: str) -> bool:
    # Not urllib.request.urlopen: it remembers the proxies of its first call.
    opener = urllib.request.build_opener(_NoRedirect)
    try:
        with opener.open(urllib.request.Request(url, method="HEAD"), timeout=_TIMEOUT):
            return True
    except urllib.error.HTTPError as error:
        error.close()
        return True
    except urllib.error.URLError as error:
        # The server is there, and the client library explains what is wrong with its certificate.
        return isinstance(error.reason, ssl.SSLError)
    except (OSError, ValueError, http.client.HTTPException):
        return False


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Takes a redirect as an answer: another server may stand behind it."""

    def redirect_request(self, *_: object) -> None:
        return None
