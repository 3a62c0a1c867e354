"""Every file in `conf/` and `experiments/` composes, resolves and runs."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
import transformers
from conf_options import option_names, option_values
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from program import ROOT, train_py_here

from warmup_lab.config.model_schema import MODEL_KINDS
from warmup_lab.config.options import bind_options
from warmup_lab.config.parse import GROUPS, resolve
from warmup_lab.config.task_schema import TASK_KINDS
from warmup_lab.optimizers.registry import OPTIMIZERS
from warmup_lab.schedules.registry import SCHEDULES

EXPERIMENTS = sorted(path.parent.name for path in (ROOT / "experiments").glob("*/experiment.yaml"))


@pytest.mark.parametrize(("group", "option"), [(group, name) for group in GROUPS for name in option_names(group)])
def test_every_option_of_every_group_resolves(group, option):
    extra = ["model.path=somewhere"] if option == "pretrained" else []
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        config = resolve(compose("config", [f"{group}={option}", *extra]))
    if group in ("optimizer", "scheduler"):
        factory = {"optimizer": OPTIMIZERS, "scheduler": SCHEDULES}[group][option]
        section = getattr(config, group)
        assert section.name == option
        assert bind_options(factory, section.options, f"{group}.").keys() == section.options.keys()


def test_registries_and_groups_have_the_same_names():
    assert option_names("scheduler") == sorted(SCHEDULES)
    assert option_names("optimizer") == sorted(OPTIMIZERS)


@pytest.mark.parametrize(("group", "kinds"), [("task", TASK_KINDS), ("model", MODEL_KINDS)])
def test_every_option_has_all_keys_of_its_dataclass(group, kinds):
    """Hydra refuses to set a key that is not in the configuration, so a field without a key could not be set."""
    for option in option_names(group):
        values = option_values(group, option)
        assert set(values) == set(kinds[values["kind"]].__dataclass_fields__), option


@pytest.mark.parametrize(
    ("group", "bases"),
    [
        ("task", {"files", "hub", "synthetic"}),
        ("model", {"bert_tiny", "pretrained"}),
    ],
)
def test_other_options_inherit_and_state_only_what_differs(group, bases):
    for option in set(option_names(group)) - bases:
        own = OmegaConf.to_container(OmegaConf.load(ROOT / "conf" / group / f"{option}.yaml"))
        base, self_ = own.pop("defaults")
        inherited = option_values(group, base)
        assert self_ == "_self_"
        assert [key for key, value in own.items() if inherited[key] == value] == [], option


def test_no_file_has_a_target():
    """Classes and functions come from registries, so a configuration file never names one."""
    for folder in ("conf", "experiments"):
        for path in (ROOT / folder).rglob("*.yaml"):
            assert "_target_" not in path.read_text(), path


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory) -> dict[str, str]:
    """Small data sets with the names of the hub tasks, and a small pretrained model."""
    folder = tmp_path_factory.mktemp("stand_ins")
    for task, columns in (("sst2", ["sentence"]), ("trec", ["question"]), ("rte", ["sentence1", "sentence2"])):
        labels = ["ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM"] if task == "trec" else ["0", "1"]
        rows = [{c: f"what is the {c} {i}" for c in columns} | {"label": labels[i % len(labels)]} for i in range(96)]
        (folder / task).mkdir()
        for split in ("train", "validation"):
            pd.DataFrame(rows).to_csv(folder / task / f"{split}.tsv", sep="\t", index=False)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "what", "is", "the", "question", "sentence"]
    (folder / "vocab.txt").write_text("\n".join(words))
    shape = transformers.BertConfig(
        vocab_size=len(words), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64
    )
    transformers.BertModel(shape).save_pretrained(folder / "model")
    transformers.BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder / "model")
    return {"data": str(folder), "model": str(folder / "model")}


# These need more updates; tests of their own run them.
@pytest.mark.trains
@pytest.mark.parametrize("name", [name for name in EXPERIMENTS if name not in ("lr_jitter", "recommend")])
@pytest.mark.usefixtures("without_pictures")
def test_every_experiment_runs_for_two_updates(name, stand_ins, tmp_path, shared_cache):
    grid = OmegaConf.load(ROOT / "experiments" / name / "experiment.yaml").hydra.sweeper.params
    rates = str(grid.get("optimizer.lr", "")).split(",")
    model = [f"model.path={stand_ins['model']}"] if "pretrained" in name else []
    done = train_py_here(
        "-m", f"experiment={name}", "max_steps=2", "seed=0", *model,
        *([f"optimizer.lr={rates[0]}"] if rates[0] else []), "tracking=none", "num_threads=1",
        cwd=tmp_path, WARMUP_LAB_DATA=stand_ins["data"], WARMUP_LAB_CACHE=str(shared_cache),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name == name
    runs = pd.read_parquet(folder / "results.parquet")
    assert set(runs.warmup_steps) <= {0, 1, 2}
    assert set(runs.status) == {"completed"}
    assert json.loads((folder / "comparison.json").read_text())


def test_every_experiment_states_question_command_cost_and_expectation():
    for name in EXPERIMENTS:
        text = Path(ROOT / "experiments" / name / "README.md").read_text()
        for heading in ("## Question", "## Command", "## Cost", "## Expected"):
            assert heading in text, name
