"""The shortcuts of the tests, and what they read of W&B.

Configurations are composed once, and processes start with their imports done.
"""

import copy
import os
import signal
import struct
import sys

import hydra
import psutil
import pytest
import wandb_offline
from fork_server import server_path
from hydra.core.config_store import ConfigStore
from hydra.core.singleton import Singleton
from program import ROOT, start, start_forked, wait_for_files
from wandb.proto import wandb_internal_pb2

SCRIPT = """
import os, sys, time
assert sys.stdin.read() == ""
print(sys.argv[1:], os.getcwd(), os.environ["GIVEN"], os.getpid() == os.getpgid(0), __name__, flush=True)
print("torch" in sys.modules, file=sys.stderr)
if sys.argv[1] == "waits":
    time.sleep(60)
sys.exit(3)
"""


def value_of(folder):
    with hydra.initialize_config_dir(str(folder), version_base="1.3"):
        return hydra.compose("config").key


def test_a_changed_configuration_is_composed_again(tmp_path):
    for value in (1, 2):
        (tmp_path / "config.yaml").write_text(f"key: {value}")
        assert [value_of(tmp_path), value_of(tmp_path)] == [value, value]
    (tmp_path / "config.yaml").write_text("defaults: [_self_, part]\nkey: 3")
    (tmp_path / "part.yaml").write_text("# @package _global_\nkey: 4")
    assert value_of(tmp_path) == 4
    (tmp_path / "part.yaml").unlink()
    with pytest.raises(hydra.errors.MissingConfigException):
        value_of(tmp_path)


def test_a_change_that_keeps_size_and_time_is_noticed_also_behind_a_link(tmp_path):
    folder, elsewhere = tmp_path / "conf", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    (folder / "group").symlink_to(elsewhere)
    (folder / "config.yaml").write_text("defaults: [group: part]")
    for value in (1, 2):
        (elsewhere / "part.yaml").write_text(f"# @package _global_\nkey: {value}")
        os.utime(elsewhere / "part.yaml", (0, 0))
        assert value_of(folder) == value


def test_a_variable_in_a_defaults_list_is_read_each_time(tmp_path, monkeypatch):
    (tmp_path / "config.yaml").write_text("defaults: ['${oc.env:WHICH}']")
    for value, name in enumerate("ab"):
        (tmp_path / f"{name}.yaml").write_text(f"key: {value}")
        monkeypatch.setenv("WHICH", name)
        assert value_of(tmp_path) == value


def test_the_saved_state_of_hydra_does_not_get_options_that_are_stored_later():
    saved = copy.deepcopy(Singleton.get_state())
    ConfigStore.instance().store("of_a_test", {"key": 1})
    assert "of_a_test.yaml" in ConfigStore.instance().repo
    Singleton.set_state(saved)
    assert "of_a_test.yaml" not in ConfigStore.instance().repo


def test_a_fork_has_its_own_words_folder_environment_group_and_exit_status(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    ended = start_forked([str(script), "ends"], cwd=tmp_path, GIVEN="this")
    output, errors = ended.communicate(timeout=60)
    assert ended.communicate() == (output, errors)
    assert (output, errors) == (f"['ends'] {tmp_path} this True __main__\n", "True\n")
    assert (ended.returncode, ended.poll()) == (3, 3)
    assert "GIVEN" not in os.environ

    waits = start_forked([str(script), "waits"], cwd=tmp_path, GIVEN="that")
    assert waits.poll() is None
    assert waits.pid not in (ended.pid, os.getpid())
    waits.send_signal(signal.SIGTERM)
    waits.communicate(timeout=60)
    assert waits.returncode == -signal.SIGTERM


def test_a_fork_whose_end_cannot_be_known_is_an_error(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("import os, time; print(os.getppid(), flush=True); time.sleep(60)")
    process = start_forked([str(script)], cwd=tmp_path)
    watching = psutil.Process(process.pid).parent()
    watching.kill()
    with pytest.raises(ConnectionError):
        process.wait(timeout=60)
    os.killpg(process.pid, signal.SIGKILL)
    process.close()


STANDS = """
import sys
from pathlib import Path
from fork_server import relay
from program import start_forked
relay(start_forked(sys.argv[1:], cwd=Path.cwd()))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_fork_does_not_outlive_the_process_that_stands_for_it(tmp_path, number):
    script = tmp_path / "script.py"
    script.write_text("import os, pathlib, time; pathlib.Path(f'{os.getpid()}.pid').touch(); time.sleep(60)")
    environment = {"PYTHONPATH": str(ROOT / "tests" / "support"), "WARMUP_LAB_TEST_FORK_SERVER": str(server_path())}
    process = start([sys.executable, "-c", STANDS, str(script)], cwd=tmp_path, **environment)
    (found,) = wait_for_files(tmp_path, "*.pid", process)
    fork = psutil.Process(int(found.stem))
    process.send_signal(number)
    process.communicate(timeout=60)
    fork.wait(timeout=60)


def test_a_record_that_is_just_being_written_is_not_read_yet(tmp_path):
    """Nor its header. A file cut anywhere has the records that are whole."""
    records = [wandb_internal_pb2.Record(uuid=name * 20) for name in "ab"]
    parts = [record.SerializeToString() for record in records]
    framed = [b"\0" * 4 + struct.pack("<HB", len(part), 1) + part for part in parts]
    content = b"\0" * 7 + b"".join(framed)
    for size in range(7, len(content) + 1):
        (tmp_path / "run.wandb").write_bytes(content[:size])
        num_whole = (size >= 7 + len(framed[0])) + (size == len(content))
        assert list(wandb_offline._records(tmp_path)) == records[:num_whole]
