"""The entry of `train.py`: the sweeper it starts, its exit status, and what it prints on errors."""

import sys

import pytest
from hydra.core.config_store import ConfigStore

from warmup_lab.cli.entry import main
from warmup_lab.config.errors import ConfigError


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ([], "GridSweeper"),
        (["hydra/sweeper=grid"], "GridSweeper"),
        (["experiment=compare"], "GridSweeper"),
        (["experiment=compare", "hydra/sweeper=optuna"], "OptunaSweeper"),
        (["experiment=lr_jitter"], "JitterSweeper"),
        (["experiment=lr_jitter", "hydra/sweeper=optuna"], "OptunaSweeper"),
    ],
)
def test_the_sweeper_is_that_of_command_line_then_experiment_then_the_grid(train_py_here, args, expected):
    done = train_py_here(*args, "--cfg", "hydra", "--package", "hydra.sweeper")
    assert done.returncode == 0, done.stderr
    assert f"_target_: hydra_plugins.warmup_lab_sweeper.{expected}\n" in done.stdout


@pytest.fixture
def exit_status(monkeypatch):
    """`main` with an entry that raises an error, and no arguments."""
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")  # main() sets it
    monkeypatch.setattr(sys, "argv", ["train.py"])

    def call(error: BaseException | None = None) -> int:
        def entry() -> None:
            if error:
                raise error

        return main(entry)

    return call


def test_success_is_0(exit_status, capsys):
    assert exit_status() == 0
    assert capsys.readouterr() == ("", "")


def test_a_user_error_is_1_with_its_message_alone(exit_status, capsys):
    assert exit_status(ConfigError("epochs=0: must be at least 1")) == 1
    assert capsys.readouterr().err == "error: epochs=0: must be at least 1\n"


def test_an_unexpected_error_is_1_with_a_traceback(exit_status, capsys):
    assert exit_status(ZeroDivisionError("oops")) == 1
    assert "Traceback" in (errors := capsys.readouterr().err)
    assert "ZeroDivisionError: oops" in errors


def test_a_user_error_has_a_traceback_on_request(exit_status, capsys, monkeypatch):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    assert exit_status(ConfigError("epochs=0")) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(("message", "expected"), [("saved", "\nsaved\n"), ("", "\nstopped\n")])
def test_an_interrupt_is_130(exit_status, capsys, message, expected):
    assert exit_status(KeyboardInterrupt(*filter(None, [message]))) == 130
    assert capsys.readouterr().err == expected


def test_an_interrupt_may_carry_its_own_status(exit_status):
    stop = KeyboardInterrupt("stopped")
    stop.exit_status = 143
    assert exit_status(stop) == 143


def test_flags_come_before_overrides_and_choices_are_in_lower_case(monkeypatch):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    monkeypatch.setattr(sys, "argv", ["train.py", "seed=0,1", "scheduler=WarmupCosine", "-m", "epochs=1"])
    main(lambda: None)
    assert sys.argv == ["train.py", "-m", "seed=0,1", "scheduler=warmupcosine", "epochs=1"]


def test_hydras_default_sweeper_is_put_back(exit_status):
    exit_status(ConfigError("wrong"))
    assert ConfigStore.instance().load("hydra/sweeper/basic.yaml").provider == "hydra"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["objective=nothing"], "objective=nothing: no such metric. Known: train_loss, eval_loss, eval_accuracy,"),
        (["-m", "seed=0,1", "objective=nothing"], "objective=nothing: no such metric."),
        (["-m", "seed=0,1", "compare.metric=eval_f1"], "compare.metric=eval_f1: no such metric;"),
        (["-m", "seed=0,1", "compare.reference=best"], "compare.reference: no arm is called 'best'."),
        (["-m", "objective=eval_accuracy", "hydra/sweeper=optuna", "optimizer.lr=interval(1e-4,1e-2)"],
         "objective=eval_accuracy: larger is better; type hydra.sweeper.direction=maximize"),
        (["--scheduler", "warmupcosine"], "--scheduler warmupcosine: keys have no dashes"),
        (["warmup_ratio", "0.1"], "warmup_ratio 0.1: needs an equals sign"),
        (["seed=0,1"], "seed=0,1: several values need -m"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_before_anything_trains(train_py_here, tmp_path, words, message):
    done = train_py_here("task=synthetic_small", "tracking=none", *words)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {message}")
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.trains
def test_what_was_probably_not_meant_is_a_warning(train_py_here):
    tiny = ("task=synthetic_small", "max_steps=1", "tracking=none", "model.num_layers=1", "model.hidden_size=32")
    # of a sweep, as a report prints it: every key that the sweep varies is given
    one_run = ("experiment=compare", "scheduler=warmuplinear", "warmup_steps=0", "seed=3")
    done = train_py_here(*one_run, *tiny, "batch_size=257")
    assert done.returncode == 0, done.stderr
    first = done.stdout.splitlines()[0]
    assert first.startswith("warning: batch_size=257 is more than the 256 training examples, so every update uses")
