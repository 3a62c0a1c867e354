"""Every file under `conf/` and `experiments/` composes, resolves and runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import transformers
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

import warmup_lab.cli.compose  # noqa: F401 - the resolver of run ids
from warmup_lab.config.model_schema import MODEL_KINDS
from warmup_lab.config.options import bind_options
from warmup_lab.config.parse import GROUPS, ROOT, resolve
from warmup_lab.config.task_schema import TASK_KINDS
from warmup_lab.optimizers.registry import OPTIMIZERS
from warmup_lab.schedules.registry import SCHEDULES

EXPERIMENTS = sorted(path.parent.name for path in (ROOT / "experiments").glob("*/experiment.yaml"))


def options(group: str) -> list[str]:
    return sorted(path.stem for path in (ROOT / "conf" / group).glob("*.yaml"))


@pytest.mark.parametrize(("group", "option"), [(group, option) for group in GROUPS for option in options(group)])
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
    assert options("scheduler") == sorted(SCHEDULES)
    assert options("optimizer") == sorted(OPTIMIZERS)


@pytest.mark.parametrize(("group", "kinds"), [("task", TASK_KINDS), ("model", MODEL_KINDS)])
def test_every_file_names_all_keys_of_its_dataclass(group, kinds):
    """Hydra refuses a key that the file lacks, so a field without a key could not be set."""
    for option in options(group):
        node = OmegaConf.load(ROOT / "conf" / group / f"{option}.yaml")
        assert set(node) == set(kinds[node.kind].__dataclass_fields__), option


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory) -> dict[str, str]:
    """Small data under the names of the tasks, and a small pretrained model."""
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


@pytest.mark.parametrize("name", [name for name in EXPERIMENTS if name != "lr_jitter"])  # it: tests/test_jitter.py
def test_every_experiment_runs_for_two_updates(name, stand_ins, tmp_path, shared_cache):
    grid = OmegaConf.load(ROOT / "experiments" / name / "experiment.yaml").hydra.sweeper.params
    rates = str(grid.get("optimizer.lr", "")).split(",")
    model = [f"model.path={stand_ins['model']}"] if "pretrained" in name else []
    done = subprocess.run(
        [sys.executable, str(ROOT / "train.py"), "-m", f"experiment={name}", "max_steps=2", "seed=0", *model,
         *([f"optimizer.lr={rates[0]}"] if rates[0] else []), "tracking=none", "num_threads=1"],
        cwd=tmp_path, text=True, capture_output=True, timeout=300, check=False,
        env={**os.environ, "WARMUP_LAB_DATA": stand_ins["data"], "WARMUP_LAB_CACHE": str(shared_cache)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name == name
    runs = pd.read_parquet(folder / "results.parquet")
    assert set(runs.warmup_steps) <= {0, 1, 2}
    assert set(runs.status) == {"completed"}
    assert json.loads((folder / "comparison.json").read_text())


def test_every_experiment_says_what_it_asks_and_what_it_costs():
    for name in EXPERIMENTS:
        text = Path(ROOT / "experiments" / name / "README.md").read_text()
        for heading in ("## Question", "## Command", "## Cost", "## Expected"):
            assert heading in text, name
