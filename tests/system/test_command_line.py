"""The words that start a training, as a shell would find the programs."""

import sys

import pytest

from warmup_lab.system.command_line import train_program


@pytest.fixture
def environment(tmp_path, monkeypatch):
    """A folder with a virtual environment that is activated."""
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name in ("python", "warmup-lab"):
        (programs / name).write_text("#!/bin/sh\n")
        (programs / name).chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "executable", str(programs / "python"))
    monkeypatch.setenv("PATH", str(programs))
    return tmp_path


@pytest.mark.parametrize(
    ("started", "activated", "otherwise"),
    [
        ("train.py", ["python", "train.py"], [".venv/bin/python", "train.py"]),
        ("{0}/train.py", ["python", "train.py"], [".venv/bin/python", "train.py"]),
        ("../train.py", ["python", "../train.py"], [".venv/bin/python", "../train.py"]),
        ("{0}/.venv/bin/warmup-lab", ["warmup-lab", "train"], [".venv/bin/warmup-lab", "train"]),
        ("{0}/lib/warmup_lab/__main__.py", ["warmup-lab", "train"], [".venv/bin/warmup-lab", "train"]),
    ],
)
def test_a_program_has_its_name_if_the_shell_finds_it(started, activated, otherwise, environment, monkeypatch):
    monkeypatch.setattr(sys, "argv", [started.format(environment), "seed=1"])
    assert train_program() == activated
    monkeypatch.setenv("PATH", str(environment / "elsewhere"))
    assert train_program() == otherwise


def test_a_program_of_another_environment_is_not_meant(environment, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train.py"])
    monkeypatch.setattr(sys, "executable", str(environment / "other" / "bin" / "python"))
    assert train_program() == ["other/bin/python", "train.py"]


def test_a_path_that_is_far_away_is_absolute(environment, monkeypatch):
    far = environment / "a" / "b" / "c"
    far.mkdir(parents=True)
    monkeypatch.chdir(far)
    monkeypatch.setattr(sys, "argv", ["/opt/train.py"])
    assert train_program()[1] == "/opt/train.py"
