"""The check whether a server answers."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from warmup_lab.system import network

PROXY_VARIABLES = ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY")


@pytest.fixture(autouse=True)
def _no_proxy_and_no_cached_answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    network.reachable.cache_clear()
    yield
    network.reachable.cache_clear()


class Handler(BaseHTTPRequestHandler):
    """Answers 501 to HEAD, or the redirect that the test sets."""

    location = ""

    def log_message(self, *_: object) -> None:
        """Keeps the output of the tests clean."""


class Redirect(Handler):
    def do_HEAD(self) -> None:
        self.send_response(302)
        self.send_header("Location", "http://127.0.0.1:9")
        self.end_headers()


def serve(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def server() -> Iterator[str]:
    yield from serve(Handler)


@pytest.fixture
def redirecting_server() -> Iterator[str]:
    yield from serve(Redirect)


def test_a_server_that_answers_is_reachable(server: str) -> None:
    assert network.reachable(server)
    assert not network.reachable("http://127.0.0.1:9")
    assert not network.reachable("no address")
    assert not network.reachable("http://host:not-a-port")


def test_a_redirect_is_an_answer(redirecting_server: str) -> None:
    assert network.reachable(redirecting_server)


def test_a_silent_server_is_given_up_after_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "_TIMEOUT", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.perf_counter()
        assert not network.reachable(f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert time.perf_counter() - started < 3


def test_a_slow_lookup_of_the_host_name_is_given_up_after_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "_TIMEOUT", 0.2)
    monkeypatch.setattr(network, "_answers", lambda _: time.sleep(2) or True)
    started = time.perf_counter()
    assert not network.reachable("http://host.invalid")
    assert time.perf_counter() - started < 1.5


def test_a_server_behind_a_proxy_is_reached_through_it(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not network.reachable("http://wandb.invalid")
    network.reachable.cache_clear()
    monkeypatch.setenv("http_proxy", server)
    assert network.reachable("http://wandb.invalid")


def test_a_malformed_proxy_means_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://host:not-a-port")
    assert not network.reachable("http://wandb.invalid")


def test_each_address_is_checked_once_per_process(monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[str] = []
    monkeypatch.setattr(network, "_answers", lambda url: not checked.append(url))
    assert [network.reachable(url) for url in ("http://a", "http://a", "http://b")] == [True] * 3
    assert checked == ["http://a", "http://b"]
