"""The console script `warmup-lab`: its subcommands, and that `train` equals `train.py`."""

import re
import sys

import pytest
from hydra.core.config_store import ConfigStore
from program import run, run_here

import warmup_lab
from warmup_lab.cli import main
from warmup_lab.cli.compose import register_experiments
from warmup_lab.cli.locations import experiment_folders
from warmup_lab.cli.script import COMMANDS


@pytest.fixture
def script(tmp_path):
    """Runs `warmup-lab ARGS` in an empty folder."""
    return lambda *args, cwd=tmp_path: run_here(["-m", "warmup_lab", *args], cwd=cwd)


@pytest.fixture
def own_folder(tmp_path):
    """A working directory with an experiment, and a folder for `--config-dir` with another and a scheduler."""
    files = {
        "experiments/mine/experiment.yaml": "study: mine\nepochs: 7\n",
        "experiments/compare/experiment.yaml": "study: my_compare\n",
        "options/experiment/other.yaml": "# @package _global_\nstudy: other\n",
        "options/scheduler/short.yaml": "defaults: [warmuplinear]\nstart_factor: 0.5\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(text)
    yield tmp_path
    del ConfigStore.instance().repo["experiment"]["mine.yaml"]
    register_experiments(*experiment_folders())  # `compare` is again that of warmup-lab


@pytest.mark.parametrize("args", [(), ("--help",), ("-h",)])
def test_help_has_a_sentence_for_each_subcommand(script, args):
    done = script(*args)
    assert done.returncode == 0
    assert re.findall(r"^  (train|recommend|schedule|report) +(.+)\.$", done.stdout, re.MULTILINE) == [
        (name, sentence.removesuffix(".")) for name, sentence in COMMANDS.items()
    ]


def test_version_is_that_of_the_package(script):
    assert script("--version").stdout == f"warmup-lab {warmup_lab.__version__}\n"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["trian"], "unknown command 'trian'; did you mean 'train'? Known: recommend, report, schedule, train\n"),
        (["scheduler=linear", "seed=1"], "did you mean this?\n  warmup-lab train scheduler=linear seed=1\n"),
        (["-m", "seed=range(2)"], "did you mean this?\n  warmup-lab train -m 'seed=range(2)'\n"),
    ],
)
def test_an_unknown_subcommand_is_corrected(script, args, message):
    done = script(*args)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith(message)


@pytest.mark.parametrize(
    "args",
    [
        ("--cfg", "job", "scheduler=WarmupCosine", "warmup_ratio=0.2"),
        ("seed=0,1", "-m", "scheduler=warmupcosin"),
    ],
)
def test_train_equals_train_py(script, train_py_here, args):
    of_script, of_file = script("train", *args), train_py_here(*args)
    assert (of_script.returncode, of_script.stdout) == (of_file.returncode, of_file.stdout)
    assert of_script.stderr == of_file.stderr


def test_recommend_is_a_multirun(script):
    done = script("recommend", "seed=0,1")
    assert done.returncode == 1
    assert done.stderr.startswith("error: seed: recommend takes one value and chooses "), "its sweeper looked"


def test_schedule_draws(script, own_folder):
    args = ("scheduler=short", "--out", "drawn.svg", "--config-dir", "options", "max_steps=20")
    done = script("schedule", *args, cwd=own_folder)
    assert done.stdout.startswith("warmuplinear, 2 updates of linear(start_factor=0.5) warmup, 20 updates"), done.stderr
    assert (own_folder / "drawn.svg").read_text().startswith("<svg")


def test_schedule_refuses_a_folder_that_is_not_there(script):
    done = script("schedule", "--config-dir", "nowhere", "seed=1")
    assert (done.returncode, done.stderr) == (1, "error: --config-dir nowhere: no such folder\n")


@pytest.mark.parametrize(
    ("command", "start"),
    [
        ("schedule", "usage: warmup-lab schedule "),
        ("report", "usage: warmup-lab report "),
        ("recommend", "Find a learning rate and a warmup "),
    ],
)
def test_help_of_a_subcommand_names_it(script, command, start):
    assert script(command, "--help").stdout.startswith(start)


@pytest.mark.parametrize(("args", "launcher"), [((), "Fastest"), (("hydra/launcher=stacked",), "Stacked")])
def test_recommend_is_an_experiment_with_the_fastest_launcher(script, args, launcher):
    done = script("recommend", *args, "--cfg", "hydra")
    assert "- experiment=recommend\n" in done.stdout, done.stderr
    assert f"    _target_: hydra_plugins.warmup_lab_launcher.{launcher}Launcher\n" in done.stdout


def test_report_refuses_a_folder_without_a_sweep(script):
    done = script("report", "nowhere")
    assert done.returncode == 1
    assert "nowhere does not exist: name the folder of a multirun" in done.stderr


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (["experiment=mine"], "\nstudy: mine\n"),
        (["experiment=mine"], "\nepochs: 7\n"),
        (["experiment=compare"], "study: my_compare\n"),
        (["--config-dir", "options", "experiment=other"], "study: other\n"),
        (["--config-dir", "options", "scheduler=short"], "  start_factor: 0.5\n"),
    ],
)
def test_own_experiments_and_options(script, own_folder, args, expected):
    done = script("train", *args, "--cfg", "job", cwd=own_folder)
    assert expected in done.stdout, done.stderr


def test_workers_import_nothing_from_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONSAFEPATH", "")
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    monkeypatch.setattr("sys.argv", ["train.py"])
    assert main(lambda: None) == 0
    (tmp_path / "joblib.py").write_text("open('imported', 'w')")
    run([sys.executable, "-c", "import joblib"], cwd=tmp_path)
    assert not (tmp_path / "imported").exists()
