"""A server of moto on loopback with one empty bucket, in a process of its own, that counts its requests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import urllib.request
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs

BUCKET = "bucket"
SECRET = "a-secret-of-nobody"
_COUNTS = "/requests-so-far"


class S3Server:
    """Within `with`, the server runs; its address and keys are in the environment.

    Args:
        set_variable: sets a variable of the environment, such as `monkeypatch.setenv`, which also takes it back.
    """

    def __init__(self, set_variable: Callable[[str, str], object] = os.environ.__setitem__) -> None:
        self._set_variable = set_variable

    def __enter__(self) -> S3Server:
        import s3fs

        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert self._process.stdout is not None
        self._url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"
        self._set_variable("AWS_ENDPOINT_URL", self._url)
        self._set_variable("AWS_ACCESS_KEY_ID", "key-of-nobody")
        self._set_variable("AWS_SECRET_ACCESS_KEY", SECRET)
        self._set_variable("AWS_DEFAULT_REGION", "us-east-1")
        s3fs.S3FileSystem(skip_instance_cache=True).mkdir(BUCKET)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def requests(self) -> Counter[str]:
        """The number of requests since the last call: "list", "GET", "PUT", and so on."""
        with urllib.request.urlopen(self._url + _COUNTS) as answer:
            return Counter(json.load(answer))


def main() -> None:
    """Serves until standard input is closed. Prints the port first."""
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    application = DomainDispatcherApplication(create_backend_app)
    counts: Counter[str] = Counter()

    def counting(environ: dict[str, Any], start_response: Any) -> Any:
        if environ["PATH_INFO"] == _COUNTS:
            body = json.dumps(counts).encode()
            counts.clear()
            start_response("200 OK", [("Content-Length", str(len(body)))])
            return [body]
        is_list = "list-type" in parse_qs(environ["QUERY_STRING"])
        counts["list" if is_list else environ["REQUEST_METHOD"]] += 1
        return application(environ, start_response)

    server = make_server("127.0.0.1", 0, counting, threaded=True)
    print(server.server_address[1], flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()


if __name__ == "__main__":
    main()
