"""wandb's settings: environment, files, keys, and whether the server answers. With the real wandb client."""

from __future__ import annotations

import logging
import socket
import sys
import time
from pathlib import Path

import program
import pytest
from wandb_offline import messages, offline_runs, only_offline_run, start, update_row
from wandb_standin import StandIn

from warmup_lab.config.errors import ConfigError
from warmup_lab.config.schema import TrackingConfig
from warmup_lab.tracking import settings
from warmup_lab.tracking.tracker import NullTracker


@pytest.fixture(autouse=True)
def _nothing_said_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "_warned", set())


@pytest.mark.parametrize(("mode", "num_runs"), [("auto", 0), ("offline", 1)])
@pytest.mark.parametrize(("variable", "value"), [("WANDB_DISABLED", "true"), ("WANDB_MODE", "disabled")])
def test_disabled_means_no_run_unless_the_command_line_says_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, num_runs: int, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    tracker = start(tmp_path, TrackingConfig(mode=mode))
    tracker.finish({})
    assert isinstance(tracker, NullTracker) == (num_runs == 0)
    assert len(offline_runs(tmp_path)) == num_runs


@pytest.mark.parametrize(("command", "num_runs"), [("disabled", 0), ("offline", 1)])
def test_settings_of_the_folder_hold(
    tmp_path: Path, server: StandIn, monkeypatch: pytest.MonkeyPatch, command: str, num_runs: int
) -> None:
    """`wandb init`, `wandb offline` and `wandb disabled` write this file into the working directory."""
    write_settings(tmp_path, f"mode = {command}\nproject = of-the-folder", monkeypatch)
    start(tmp_path, TrackingConfig()).finish({})
    assert server.runs == {}
    assert [found.run.project for found in offline_runs(tmp_path)] == ["of-the-folder"] * num_runs


def write_settings(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file that wandb reads in the working directory."""
    monkeypatch.chdir(folder)
    (folder / "wandb").mkdir()
    (folder / "wandb" / "settings").write_text(f"[default]\n{text}\n")


def test_a_folder_cannot_choose_the_server_or_anything_else(
    tmp_path: Path, server: StandIn, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A downloaded folder could send the API key to its own server."""
    with StandIn() as foreign:
        write_settings(tmp_path, f"base_url = {foreign.url}\nproject = theirs\ninit_timeout = 1", monkeypatch)
        for run_id in ("a" * 12, "b" * 12):
            start(tmp_path, TrackingConfig(), run_id=run_id).finish({})
        assert foreign.operations == []
    assert [run.upserts[0]["project"] for run in server.runs.values()] == ["theirs", "theirs"]
    (line,) = messages(caplog)
    assert "sets base_url, init_timeout, which is ignored" in line


def test_the_server_of_wandb_login_holds(
    tmp_path: Path, server: StandIn, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """`wandb login --host` writes the user's own file, and `wandb init` the same address into the working directory."""
    monkeypatch.delenv("WANDB_BASE_URL")
    own = tmp_path / "config"
    own.mkdir()
    (own / "settings").write_text(f"[default]\nbase_url = {server.url}\n")
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(own))
    write_settings(tmp_path, f"base_url = {server.url}", monkeypatch)
    start(tmp_path, TrackingConfig()).finish({})
    assert len(server.runs) == 1
    assert messages(caplog) == []


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("WANDB_MODE", "foo", "WANDB_MODE=foo: Input should be 'online', 'offline'"),
        ("WANDB_BASE_URL", "host:no-port", "WANDB_BASE_URL: "),
        ("WANDB_INIT_TIMEOUT", "abc", "WANDB_INIT_TIMEOUT=abc: Input should be a valid number"),
        ("WANDB_HTTP_PROXY", "http://me:secret@host:bad", "WANDB_HTTP_PROXY: "),
        ("WANDB_PROJECT", "a/b", "WANDB_PROJECT=a/b: Invalid project name"),
        ("WANDB_RUN_ID", "a/b", "WANDB_RUN_ID=a/b: Run ID cannot contain"),
    ],
)
def test_a_wrong_variable_is_named_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, name: str, value: str, says: str
) -> None:
    monkeypatch.setenv("WANDB_NOTES", "fine")
    monkeypatch.setenv(name, value)
    for _ in range(2):
        assert isinstance(start(tmp_path, TrackingConfig()), NullTracker)
    (line,) = messages(caplog)
    assert line.startswith(f"wandb cannot be used ({says}")
    assert "\n" not in line
    assert "secret" not in line
    with pytest.raises(ConfigError, match=r"tracking\.mode=online: wandb cannot be used: WANDB"):
        start(tmp_path, TrackingConfig(mode="online"))


# ------------------------------------------------------------------------------------------------ server and packages


def test_an_offline_run_sends_nothing(tmp_path: Path, server: StandIn) -> None:
    """wandb would ask the server who the user is, and wait for the answer."""
    start(tmp_path, TrackingConfig(mode="offline"), history=[update_row(0)]).finish({})
    assert server.operations == []


def use(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", url)
    monkeypatch.setenv("WANDB_API_KEY", "0123456789" * 4)


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.mark.parametrize("mode", ["auto", "online"])
def test_an_unreachable_server_means_offline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, mode: str
) -> None:
    caplog.set_level(logging.INFO)
    use(f"http://127.0.0.1:{closed_port()}", monkeypatch)
    begin = time.monotonic()
    tracker = start(tmp_path, TrackingConfig(mode=mode))
    tracker.log(update_row(0))
    tracker.finish({})
    assert time.monotonic() - begin < 5
    assert only_offline_run(tmp_path).steps == [0]
    (line,) = messages(caplog)
    assert "is not reachable" in line
    warned = [record.name for record in caplog.records if record.levelno >= logging.WARNING]
    assert warned == (["warmup_lab.tracking.tracker"] if mode == "online" else [])


@pytest.mark.parametrize("name", ["WANDB_BASE_URL", "http_proxy"])
def test_a_malformed_address_raises_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    use("http://127.0.0.1:1", monkeypatch)
    monkeypatch.setenv(name, "http://host:not-a-port")
    start(tmp_path, TrackingConfig(), history=[update_row(0)]).finish({})


@pytest.mark.parametrize(("mode", "num_runs"), [("offline", 1), ("disabled", 0)])
def test_mode_auto_respects_wandb_mode(
    tmp_path: Path, server: StandIn, monkeypatch: pytest.MonkeyPatch, mode: str, num_runs: int
) -> None:
    monkeypatch.setenv("WANDB_MODE", mode)
    start(tmp_path, TrackingConfig()).finish({})
    assert len(offline_runs(tmp_path)) == num_runs
    assert server.runs == {}


NO_WANDB = """
import sys
sys.modules["wandb"] = None
from pathlib import Path
from warmup_lab.config import TrackingConfig
from warmup_lab.tracking import NullTracker, TrackedRun, start_tracker
for kind in ("none", "wandb"):
    tracker = start_tracker(TrackingConfig(kind=kind), TrackedRun("a", "n", Path(sys.argv[1]), {}))
    assert isinstance(tracker, NullTracker)
"""


def test_without_wandb_nothing_is_recorded_and_one_warning_says_so(tmp_path: Path) -> None:
    done = program.run([sys.executable, "-W", "error", "-c", NO_WANDB, tmp_path], timeout=30)
    assert done.returncode == 0, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("wandb cannot be used (")


# ---------------------------------------------------------------------------------------------------------- API keys


def test_without_a_key_the_run_is_offline_and_a_message_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    begin = time.monotonic()
    tracker = start(tmp_path, TrackingConfig())
    tracker.log(update_row(0))
    tracker.finish({})
    assert time.monotonic() - begin < 5
    assert only_offline_run(tmp_path).steps == [0]
    (line,) = messages(caplog)
    assert line.startswith("W&B is offline: there is no API key")
    assert line.endswith(f"wandb sync {tmp_path}/wandb")


@pytest.mark.parametrize(("key", "reason"), [(None, "no API key"), ("short", "cannot be used")])
def test_mode_online_needs_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str | None, reason: str) -> None:
    if key:
        monkeypatch.setenv("WANDB_API_KEY", key)
    with pytest.raises(ConfigError, match=f"tracking.mode=online: .*{reason}.*tracking.mode=auto"):
        start(tmp_path, TrackingConfig(mode="online"))


def test_a_key_in_netrc_is_found(tmp_path: Path, server: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine {server.url.removeprefix('http://')} login user password {'0123456789' * 4}\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.delenv("WANDB_API_KEY")
    start(tmp_path, TrackingConfig(mode="online")).finish({})
    assert len(server.runs) == 1
