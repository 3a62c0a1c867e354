"""Composing configurations and plans: experiments, the default sweeper, and the case of names."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf.errors import InterpolationResolutionError
from program import ROOT, SMALL, python

from warmup_lab.cli.compose import compose_plan, default_sweeper, lower_case_choices, register_experiments
from warmup_lab.config.errors import ConfigError

PLUGIN = "hydra_plugins.warmup_lab_sweeper"
HYDRAS_OWN = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"


def sweeper_of(*overrides: str) -> str:
    """The class of the sweeper of a multirun with these overrides."""
    register_experiments(ROOT / "experiments")
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        config = loader.load_configuration("config", list(overrides), run_mode=RunMode.MULTIRUN)
    return str(config.hydra.sweeper._target_)


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ([], f"{PLUGIN}.GridSweeper"),
        (["hydra/sweeper=basic"], f"{PLUGIN}.GridSweeper"),
        (["hydra/sweeper=grid"], f"{PLUGIN}.GridSweeper"),
        (["hydra/sweeper=optuna"], f"{PLUGIN}.OptunaSweeper"),
        (["experiment=compare"], f"{PLUGIN}.GridSweeper"),
        (["experiment=compare", "hydra/sweeper=optuna"], f"{PLUGIN}.OptunaSweeper"),
        (["experiment=lr_jitter"], f"{PLUGIN}.JitterSweeper"),
        (["experiment=lr_jitter", "hydra/sweeper=grid"], f"{PLUGIN}.GridSweeper"),
    ],
)
def test_command_line_before_experiment_before_default(overrides, expected):
    with default_sweeper("grid"):
        assert sweeper_of(*overrides) == expected


def test_the_default_sweeper_is_hydras_own_outside_the_block():
    with pytest.raises(RuntimeError), default_sweeper("grid"):
        raise RuntimeError
    assert sweeper_of() == HYDRAS_OWN
    assert sweeper_of("hydra/sweeper=grid") == f"{PLUGIN}.GridSweeper"


def test_the_default_sweeper_holds_if_hydra_has_yet_to_discover_its_plugins():
    """Discovery stores Hydra's own `basic`, and a new process has not made it yet."""
    code = (
        "from hydra.core.config_store import ConfigStore\n"
        "from hydra.core.plugins import Plugins\n"
        "from warmup_lab.cli.compose import default_sweeper\n"
        "with default_sweeper('grid'):\n"
        "    Plugins.instance()\n"
        "    print(ConfigStore.instance().load('hydra/sweeper/basic.yaml').node._target_)\n"
        "print(ConfigStore.instance().load('hydra/sweeper/basic.yaml').node._target_)"
    )
    assert python(code).split() == [f"{PLUGIN}.GridSweeper", HYDRAS_OWN]


def test_every_folder_with_an_experiment_is_an_option(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "experiment.yaml").write_text(f"study: {name}\nepochs: 7\n")
    register_experiments(tmp_path)
    try:
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            config = compose("config", ["experiment=two"])
    finally:
        for name in ("one", "two"):
            del ConfigStore.instance().repo["experiment"][f"{name}.yaml"]
    assert (config.study, config.epochs, config.batch_size) == ("two", 7, 32)


def test_a_file_that_is_no_experiment_is_skipped_with_the_reason(tmp_path, capsys):
    contents = {"list": b"- 1\n", "open": b"a: [1\n", "binary": b"\xff\xfe"}
    for name, content in contents.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "experiment.yaml").write_bytes(content)
    register_experiments(tmp_path)
    assert not {f"{name}.yaml" for name in contents} & ConfigStore.instance().repo["experiment"].keys()
    for name, line in zip(sorted(contents), capsys.readouterr().err.splitlines(), strict=True):
        assert line.startswith(f"skipped {tmp_path / name / 'experiment.yaml'}: ")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("scheduler=WarmupCosine", "scheduler=warmupcosine"),
        ("scheduler=WarmupLinear,WarmupCosine", "scheduler=warmuplinear,warmupcosine"),
        ("model.path=Owner/Name", "model.path=Owner/Name"),
        ("task=files", "task=files"),
        ("study=Mine", "study=Mine"),
        ("--Multirun", "--Multirun"),
    ],
)
def test_only_choices_of_our_groups_become_lower_case(given, expected):
    assert lower_case_choices([given]) == [expected]


def test_a_plan_is_that_of_a_single_run():
    plan = compose_plan([*SMALL, "scheduler=WarmupCosine", "warmup_ratio=0.1", "max_steps=20"])
    assert (plan.config.scheduler.name, plan.warmup_steps, plan.total_steps) == ("warmupcosine", 2, 20)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("scheduler=warmupcosin", "unknown scheduler 'warmupcosin'; did you mean 'warmupcosine'?"),
        ("warmup_ration=0.1", "unknown key warmup_ration; did you mean 'warmup_ratio'?"),
        ("warmup_ratio=2", "warmup_ratio=2: must be in [0, 1]"),
        ("lr=1e-3", "unknown key lr; type optimizer.lr=1e-3"),
        ("weight_decay=0.1", "unknown key weight_decay; type optimizer.weight_decay=0.1"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_in_plain_words(override, message):
    with pytest.raises(ConfigError) as error:
        compose_plan([override])
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("words", "study"),
    [
        ([], "recommend_synthetic_bert_tiny"),
        (["task=trec", "model=bert_mini"], "recommend_trec_bert_mini"),
        (["task=files", "task.train_file=/data/my reviews.v2.csv"], "recommend_my_reviews_bert_tiny"),
        (["model=pretrained", "model.path=google/bert_uncased/"], "recommend_synthetic_bert_uncased"),
        (["task.id=../x"], "recommend_.._x_bert_tiny"),
        ([f"task.id={300 * 'x'}"], f"recommend_{60 * 'x'}_bert_tiny"),
        (["study=mine", "task=files"], "mine"),
    ],
)
def test_recommendations_of_other_tasks_and_models_have_folders_of_their_own(words, study):
    register_experiments(ROOT / "experiments")
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        config = loader.load_configuration("config", ["experiment=recommend", *words], run_mode=RunMode.MULTIRUN)
    assert config.study == study
    assert config.hydra.sweep.dir == f"runs/{study}"


def test_all_results_are_below_output():
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        config = loader.load_configuration("config", ["output='~/mine'", "study=a"], run_mode=RunMode.MULTIRUN)
    assert config.hydra.sweep.dir == str(Path("~/mine/a").expanduser())


def test_a_run_is_the_same_wherever_its_results_are():
    assert compose_plan(["output=elsewhere"]).run_id == compose_plan([]).run_id


def test_a_title_is_that_of_a_task_or_a_model():
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = compose("config", ["study='${title:optimizer}'"])
        with pytest.raises(InterpolationResolutionError, match="optimizer has no title; only task and model have one"):
            _ = config.study
