"""What a configuration file may set: every way in which a file reaches Hydra, with content that would run code."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest
import yaml
from hydra._internal.core_plugins import file_config_source, structured_config_source
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from program import ROOT

from warmup_lab.cli.compose import register_experiments
from warmup_lab.cli.config_files import (
    FileConfigSource,
    StructuredConfigSource,
    check_experiment,
    check_option,
    checked_config_files,
)
from warmup_lab.config.errors import ConfigError

LOGGING = "hydra: {job_logging: {handlers: {x: {(): os.mkdir, path: PATH}}}}"
"""Python's logging calls the value of the key `()`."""


@pytest.fixture(autouse=True)
def _options_of_hydra_are_registered() -> None:
    Plugins.instance()


def refusal(text: str, check=check_experiment) -> str:
    with pytest.raises(ConfigError) as error:
        check(yaml.safe_load(text), "a.yaml")
    return str(error.value)


@pytest.mark.parametrize(
    "path", sorted((ROOT / "experiments").glob("*/experiment.yaml")), ids=lambda path: path.parent.name
)
def test_our_own_experiments_pass(path: Path) -> None:
    check_experiment(yaml.safe_load(path.read_text()), str(path))


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "study: a",
        "defaults: [_self_, compare, {override /task: sst2}, {override /hydra/sweeper: optuna}]",
        "defaults: [{override /hydra/launcher: joblib}, {override /probe: null}]\nhydra: {launcher: {n_jobs: 2}}",
        "hydra: {sweeper: {n_trials: 3, direction: maximize, params: {seed: 'range(3)', optimizer.lr: '1e-3,1e-2'}}}",
        "hydra: null",
        "study: ${task.id}-${optimizer.betas[0]}\nmodel: {path: '${.id}'}",
    ],
)
def test_an_experiment_may_choose_options_and_set_keys(text: str) -> None:
    check_experiment(yaml.safe_load(text), "a.yaml")


@pytest.mark.parametrize(
    "key",
    [
        "job_logging", "hydra_logging", "callbacks", "searchpath", "job", "run", "sweep", "env", "output_subdir",
        "help", "hydra_help", "verbose", "mode", "runtime", "overrides", "sweeper._target_", "sweeper.storage",
        "sweeper.max_batch_size", "launcher._target_", "launcher.batch", "launcher.backend", "launcher.setup",
        "launcher.address", "launcher.usage_statistics", "launcher.dashboard",
    ],
)  # fmt: skip
def test_other_keys_of_hydra_are_refused_by_name(key: str) -> None:
    section, _, name = key.partition(".")
    assert refusal(yaml.safe_dump({"hydra": {section: {name: "x"} if name else "x"}})).startswith(
        f"a.yaml sets hydra.{key}:"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hydra: {job: {env_set: {A: b}}}", "a.yaml sets hydra.job: "),
        ("hydra: {run: {dir: /tmp}}", "a.yaml sets hydra.run: "),
        ("output: s3://bucket", "a.yaml sets output: a file may not"),
        ("hydra: x", "hydra must be a mapping"),
        ("hydra: {sweeper: null}", "hydra.sweeper must be a mapping"),
        ("hydra: {sweeper: '${x}'}", "hydra.sweeper must be a mapping"),
        ("- 1", "the file must be a mapping"),
        # code
        ("_target_: os.system", "a.yaml sets _target_: a file may not name code"),
        ("model: {layers: [{_target_: os.system}]}", "a.yaml sets model.layers.0._target_: a file may not name code"),
        ("model: {_target_: {}}", "a.yaml sets model._target_: a file may not name code"),
        # the environment and files, through interpolations
        ("study: '${oc.env:HOME}'", "study: ${oc.env:HOME}: a file may refer to another key"),
        ("study: 'a${oc.decode:x}'", "a file may refer to another key"),
        ("study: '${hydra:job.name}'", "a file may refer to another key"),
        ("study: '${hydra.job.env_set.KEY}'", "a file may refer to another key"),
        ("study: '${..hydra.job.env_set.KEY}'", "a file may refer to another key"),
        ("study: '${${x}:HOME}'", "a file may refer to another key"),
        ("study: '${a.${b}}'", "a file may refer to another key"),
        ("study: '\\${oc.env:HOME}'", "a file may refer to another key"),
        ("study: '${title:optimizer}'", "study: ${title:optimizer}: a file may refer to another key"),
        ("study: '${oc.env:${title:task}}'", "a file may refer to another key"),
        ("study: '$${title:task}{oc.env:HOME}'", "a file may refer to another key"),
        ("study: $", "a file may refer to another key"),  # another key could add the rest
        ("task: {text_columns: ['${run_id:}']}", "task.text_columns.0: ${run_id:}"),
        # overrides
        ("hydra: {sweeper: {params: {hydra.run.dir: x}}}", "hydra.sweeper.params: hydra.run.dir: a file may sweep"),
        ("hydra: {sweeper: {params: {hydra: x}}}", "a file may sweep keys of warmup-lab only"),
        ("hydra: {sweeper: {params: {hydra/launcher: x}}}", "a file may sweep keys of warmup-lab only"),
        ("hydra: {sweeper: {params: {+hydra.callbacks.x: y}}}", "a file may sweep keys of warmup-lab only"),
        ("hydra: {sweeper: {params: {~task: null}}}", "a file may sweep keys of warmup-lab only"),
        ("hydra: {sweeper: {params: {task@hydra: x}}}", "a file may sweep keys of warmup-lab only"),
        ("hydra: {sweeper: {params: {model: '{_target_: os.system}'}}}", "a file may sweep keys of warmup-lab only"),
        ("hydra: {sweeper: {params: {model: {_target_: os.system}}}}", "a file may sweep keys of warmup-lab only"),
        ("hydra: {sweeper: {params: {study: '${oc.env:HOME}'}}}", "a file may not use ${...} in a sweep"),
        ("hydra: {sweeper: {params: {study: '$\\{oc.env\\:HOME\\}'}}}", "a file may not use ${...} in a sweep"),
        ("hydra: {sweeper: {params: {study: '${study}'}}}", "a file may not use ${...} in a sweep"),
        ("hydra: {sweeper: {n_trials: '${seed}'}}", "hydra.sweeper.n_trials=${seed}: must be a plain value"),
        ("hydra: {launcher: {n_jobs: {a: 1}}}", "must be a plain value"),
        # defaults
        ("defaults: [{override /hydra/job_logging: custom}]", "defaults has {'override /hydra/job_logging': 'custom'}"),
        ("defaults: [{override /hydra/callbacks: x}]", "a file may name other experiments"),
        ("defaults: [/hydra/job_logging/custom]", "a file may name other experiments"),
        ("defaults: [{/task: sst2}]", "a file may name other experiments"),
        ("defaults: [{override /task@hydra.job_logging: sst2}]", "a file may name other experiments"),
        ("defaults: ['other@hydra']", "a file may name other experiments"),
        ("defaults: [{override /task: ../../elsewhere}]", "a file may name other experiments"),
        ("defaults: [{override /task: '${oc.env:HOME}'}]", "a file may name other experiments"),
        ("defaults: [{override /task: [a, b]}]", "a file may name other experiments"),
        ("defaults: [{override /task: a, override /model: b}]", "a file may name other experiments"),
        ("defaults: [null]", "a file may name other experiments"),
    ],
)  # fmt: skip
def test_an_experiment_that_could_run_code_is_refused(text: str, message: str) -> None:
    assert message in refusal(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("defaults: [/hydra/job_logging/custom]", "an option may list only other options of its group"),
        ("defaults: [{override /hydra/launcher: x}]", "an option may list only other options of its group"),
        ("defaults: ['sst2@hydra']", "an option may list only other options of its group"),
        ("path: ${oc.env:HOME}", "path: ${oc.env:HOME}: a file may refer to another key"),
        ("a: {_target_: x}", "a.yaml sets a._target_"),
    ],
)
def test_an_option_that_could_run_code_is_refused(text: str, message: str) -> None:
    check_option({"defaults": ["sst2", "_self_"], "path": "${model.path}"}, "a.yaml")
    assert message in refusal(text, check_option)


# ------------------------------------------------------------------------------------------------ ways into Hydra


@pytest.fixture
def write(tmp_path: Path):
    """Writes a file below `tmp_path`; `PATH` in it becomes the path of a folder that code in the file would make."""
    yield lambda name, text: _write(tmp_path / name, text.replace("PATH", str(tmp_path / "made")))
    for name in ("downloaded", "nested"):
        ConfigStore.instance().repo["experiment"].pop(f"{name}.yaml", None)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize("flags", [(), ("-m",)])
def test_an_experiment_of_the_working_directory_is_refused(train_py_here, write, tmp_path, flags) -> None:
    write("experiments/downloaded/experiment.yaml", LOGGING)
    done = train_py_here("experiment=downloaded", *flags)
    assert (done.returncode, (tmp_path / "made").exists()) == (1, False)
    assert done.stderr.startswith("error: experiments/downloaded/experiment.yaml sets hydra.job_logging: ")


@pytest.mark.parametrize("words", [("--config-dir", "options"), ("hydra.searchpath=[file://options]",)])
def test_an_experiment_of_a_folder_with_options_is_refused(train_py_here, write, tmp_path, words) -> None:
    write("options/experiment/a.yaml", f"# @package _global_\n{LOGGING}")
    done = train_py_here(*words, "experiment=a")
    assert (done.returncode, (tmp_path / "made").exists()) == (1, False)
    assert done.stderr.startswith("error: options/experiment/a.yaml sets hydra.job_logging: ")


def test_a_launcher_of_a_folder_with_options_is_refused(train_py_here, write, tmp_path) -> None:
    """It would replace the default launcher, which is registered from Python: Hydra looks for files first."""
    write("options/hydra/launcher/basic.yaml", "_target_: os.mkdir\npath: PATH")
    done = train_py_here("-m", "--config-dir", "options", "seed=0,1")
    assert (done.returncode, (tmp_path / "made").exists()) == (1, False)
    assert done.stderr.startswith(
        "error: options/hydra/launcher/basic.yaml: a folder for --config-dir may hold options"
    )


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("experiment/b/a", f"# @package _global_\n{LOGGING}", "sets hydra.job_logging"),
        ("task/a", f"# @package _global_\n{LOGGING}", "sets hydra.job_logging"),
        ("task/a", "# @package hydra.job_logging\nhandlers: {x: {(): os.mkdir}}", "# @package hydra.job_logging: "),
        ("task/a", "path: ${oc.env:HOME}", "a file may refer to another key"),
        ("hydra/sweeper/mine", "_target_: os.mkdir", "may hold options of task,"),
        ("hydra/callbacks/a", "a: {_target_: os.mkdir}", "may hold options of task,"),
        ("config", "seed: 1", "may hold options of task,"),
        ("task/../../a", "seed: 1\n_target_: x", "sets _target_"),
    ],
)  # fmt: skip
def test_every_file_outside_conf_is_checked(write, tmp_path, name, text, message) -> None:
    write("options/task/sst2.yaml", "limit: 5")
    write(f"options/{name}.yaml", text)
    for folder in (tmp_path / "options", tmp_path / "options" / "task" / ".."):
        with pytest.raises(ConfigError, match=message):
            FileConfigSource("command-line", f"file://{folder}").load_config(name)
    assert FileConfigSource("main", f"file://{ROOT}/conf").load_config("config").config.seed == 0


def test_an_experiment_that_an_experiment_names_is_refused(train_py_here, write, tmp_path) -> None:
    write("experiments/downloaded/experiment.yaml", "defaults: [nested]")
    write("experiments/nested/experiment.yaml", LOGGING)
    done = train_py_here("experiment=downloaded")
    assert (done.returncode, (tmp_path / "made").exists()) == (1, False)
    assert done.stderr.startswith("error: experiments/nested/experiment.yaml sets hydra.job_logging: ")


def test_an_experiment_cannot_leave_the_folder_of_its_study(train_py_here, write, tmp_path) -> None:
    write("experiments/downloaded/experiment.yaml", "study: ../../made\nhydra: {sweeper: {params: {seed: '1,2'}}}")
    done = train_py_here("-m", "experiment=downloaded")
    assert (done.returncode, (tmp_path / "made").exists()) == (1, False)
    assert "study='../../made': must be a plain folder name" in done.stderr
    assert not (tmp_path / "runs").exists()


def test_tags_of_yaml_make_no_objects(write, tmp_path, capsys) -> None:
    write("experiments/downloaded/experiment.yaml", "study: !!python/object/apply:os.mkdir [PATH]")
    register_experiments(tmp_path / "experiments")
    assert not (tmp_path / "made").exists()
    assert "downloaded.yaml" not in ConfigStore.instance().repo["experiment"]
    assert "skipped" in capsys.readouterr().err


def test_a_worker_process_reads_files_with_the_same_check(write, tmp_path) -> None:
    """Hydra's launchers pickle the loader, and with it the sources of its files. Then Hydra registers its own again."""
    write("options/experiment/a.yaml", f"# @package _global_\n{LOGGING}")
    registry = SourcesRegistry.instance()
    with checked_config_files():
        for own in (file_config_source.FileConfigSource, structured_config_source.StructuredConfigSource):
            registry.register(own)
        source = pickle.loads(pickle.dumps(registry.resolve("file")("command-line", f"file://{tmp_path}/options")))
    with pytest.raises(ConfigError, match=r"experiment/a.yaml sets hydra.job_logging"):
        source.load_config("experiment/a")


def test_only_the_program_changes_how_hydra_reads_files(train_py_here) -> None:
    before = dict(SourcesRegistry.instance().types)
    assert train_py_here("seed=1", "--cfg", "job").returncode == 0
    assert SourcesRegistry.instance().types == before


def test_a_copy_of_the_source_shares_the_store_of_hydra() -> None:
    """Hydra copies its sources each time it loads a configuration; a copy of the store took longer than the rest."""
    source = StructuredConfigSource("schema", "structured://")
    assert copy.deepcopy(source).store is source.store is ConfigStore.instance()
