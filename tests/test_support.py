"""The two shortcuts of the tests: configurations that are composed once, and processes whose imports are done."""

import os
import signal

import hydra
import pytest
from program import start_forked

SCRIPT = """
import os, sys, time
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


def test_a_fork_has_its_own_words_folder_environment_group_and_exit_status(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    ended = start_forked([str(script), "ends"], cwd=tmp_path, GIVEN="this")
    output, errors = ended.communicate(timeout=60)
    assert (output, errors) == (f"['ends'] {tmp_path} this True __main__\n", "True\n")
    assert (ended.returncode, ended.poll()) == (3, 3)
    assert "GIVEN" not in os.environ

    waits = start_forked([str(script), "waits"], cwd=tmp_path, GIVEN="that")
    assert waits.poll() is None
    assert waits.pid not in (ended.pid, os.getpid())
    waits.send_signal(signal.SIGTERM)
    waits.communicate(timeout=60)
    assert waits.returncode == -signal.SIGTERM
