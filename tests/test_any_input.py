"""Values and files that nobody thought of: a run starts with a finite loss, or `ConfigError` says why it does not.

Nothing is dropped: an accepted value is in the configuration, and every row of a file is an example or counted as left
out. Hypothesis generates the same cases each time.
"""

from __future__ import annotations

import csv
import json
import math
import shutil
import string
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from classifiers import TINY_BERT
from hydra import compose, initialize_config_dir
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from program import ROOT, SMALL, SMALL_MODEL
from small_runs import small_plan
from transformers import BertConfig, BertModel, BertTokenizerFast

from warmup_lab.config.errors import ConfigError
from warmup_lab.config.model_schema import PretrainedModel
from warmup_lab.config.parse import resolve
from warmup_lab.config.schema import RunConfig
from warmup_lab.config.task_schema import FilesTask
from warmup_lab.plan import Plan, make_plan
from warmup_lab.runs.trace import StepTable
from warmup_lab.tasks import load_corpus
from warmup_lab.tasks.table_files import READERS
from warmup_lab.training import loop


def any_input(num_cases: int) -> settings:
    return settings(
        max_examples=num_cases, derandomize=True, deadline=None, database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )  # fmt: skip


@pytest.fixture(scope="module")
def new_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    return lambda: tmp_path_factory.mktemp("any")


def check_message(error: ConfigError, *parts: str) -> None:
    assert any(part in str(error) for part in parts)
    assert len(str(error).split("\n")) <= 2 or any("\n" in part for part in parts)


def check_first_loss(plan: Plan, folder: Path) -> None:
    loop.train(plan, folder, show_progress=False)
    losses = StepTable.read(folder / "trace.parquet").to_lists()["loss"]
    assert math.isfinite(losses[0])


# ---------------------------------------------------------------------------------------------- configuration

WHOLE = st.integers(-3, 40) | st.integers(min_value=10**8) | st.integers(max_value=-(10**8))
"""Small, or beyond all limits: what is valid in between may take a while."""
TEXTS = st.text(max_size=6) | st.sampled_from(
    ["nan", "-inf", "None", "null", "true", "1e3", "0x10", "auto", "???", "${seed}", "${", "a/b", "..", "f1", "cpu"]
)
VALUES = st.none() | st.booleans() | WHOLE | st.floats() | TEXTS
VALUES |= st.lists(WHOLE | st.floats() | TEXTS, max_size=3) | st.dictionaries(TEXTS, WHOLE, max_size=2)


@pytest.fixture(scope="module")
def composed() -> DictConfig:
    words = [*SMALL, *SMALL_MODEL, "max_steps=1", "eval_every=null", "device=cpu", "optimizer=sgd", "scheduler=cosine"]
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        return compose("config", words)


def leaves(config: DictConfig) -> list[str]:
    """All keys with a value, such as `optimizer.lr`."""
    keys = []
    for name, value in OmegaConf.to_container(config).items():  # type: ignore[union-attr]
        keys += [f"{name}.{key}" for key in value] if isinstance(value, dict) else [str(name)]
    return sorted(keys)


def read(run: RunConfig, key: str) -> Any:
    section, _, name = key.rpartition(".")
    held = getattr(run, section) if section else run
    return getattr(held, name) if hasattr(held, name) else held.options[name]


def is_same(found: Any, value: Any) -> bool:
    """Whether the value arrived. A text may stand for a number or a truth value, and names are in lower case."""
    if isinstance(found, bool):
        return isinstance(value, bool | int | str)
    if isinstance(found, float) and isinstance(value, str | int):
        return found == float(value)
    return bool(found == value) or str(found).lower() == str(value).lower()


@pytest.mark.trains
def test_a_value_is_used_or_refused(composed, new_folder, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")

    @any_input(150)
    @given(st.sampled_from(leaves(composed)), VALUES)
    def check(key: str, value: Any) -> None:
        assume(not (key == "num_threads" and isinstance(value, int) and value > 2))
        config = composed.copy()
        try:
            OmegaConf.update(config, key, value, merge=False)
        except OmegaConfBaseException:
            return  # Hydra itself reads the command line, and explain() words its errors
        try:
            plan = make_plan(resolve(config))
            if not (isinstance(value, str) and "${" in value) and key != "experiment":
                found = read(plan.config, key)
                assert is_same(found, value) or (key, value, found) == ("num_threads", "auto", None)
            check_first_loss(plan, new_folder())
        except ConfigError as error:
            check_message(error, *key.split("."), str(value))

    check()


@pytest.fixture(scope="module")
def bert(new_folder) -> Path:
    """A model that fits the tokenizer of its folder."""
    folder = new_folder()
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *string.ascii_lowercase]
    BertTokenizerFast(vocab={piece: index for index, piece in enumerate(pieces)}).save_pretrained(folder)
    BertModel(BertConfig(**{**TINY_BERT, "vocab_size": len(pieces)}, max_position_embeddings=64)).save_pretrained(
        folder
    )
    return folder


@pytest.mark.trains
@pytest.mark.filterwarnings("ignore")  # of transformers and torch, about odd values
def test_a_model_with_any_key_in_its_configuration_trains_or_is_refused(bert, new_folder):
    base = small_plan().config
    keys = json.loads((bert / "config.json").read_text())

    @any_input(100)
    @given(st.sampled_from(sorted({*keys, *BertConfig().to_dict()})), VALUES)
    def check(key: str, value: Any) -> None:
        folder = new_folder()
        shutil.copytree(bert, folder, dirs_exist_ok=True)
        (folder / "config.json").write_text(json.dumps({**keys, key: value}))
        model = PretrainedModel("pretrained", path=str(folder))
        task = replace(base.task, max_length=16)
        try:
            plan = make_plan(replace(base, model=model, task=task, max_steps=1, eval_every=None))
            loop.train(plan, folder / "run", show_progress=False)  # weights may be multiplied by 1e300: it may diverge
        except ConfigError as error:
            check_message(error, str(folder))

    check()


# ------------------------------------------------------------------------------------------------------- files

ODD_LABELS = st.text(max_size=3) | st.integers() | st.floats() | st.booleans() | st.none()
ROW = st.tuples(st.text(max_size=12), st.sampled_from(["good", "bad"])) | st.tuples(st.text(), st.just("good"))


@st.composite
def tables(draw: st.DrawFn) -> list[tuple[str, Any]]:
    """Rows of two classes with any texts, and now and then a few with any label."""
    rows: list[tuple[str, Any]] = draw(st.lists(ROW, min_size=8, max_size=24))
    return rows + draw(st.just([]) | st.lists(st.tuples(st.text(max_size=3), ODD_LABELS), max_size=2))


def write_json_lines(path: Path, rows: list[tuple[str, Any]]) -> None:
    path.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows))


def write_csv(path: Path, rows: list[tuple[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *rows])


@pytest.mark.trains
@pytest.mark.parametrize(("suffix", "write"), [(".jsonl", write_json_lines), (".csv", write_csv)])
def test_every_row_is_an_example_or_left_out_and_counted(new_folder, suffix, write):
    base = small_plan().config

    @any_input(60)
    @given(tables())
    def check(rows: list[tuple[str, Any]]) -> None:
        folder = new_folder()
        path = folder / f"rows{suffix}"
        write(path, rows)
        task = FilesTask("files", train_file=str(path), validation_share=0.5)
        try:
            corpus = load_corpus(task)
        except ConfigError as error:
            check_message(error, str(path))
            return
        kept = [text for text, _ in rows if text.strip()]
        texts = [text for split in (corpus.train, corpus.validation) for (text,) in split.texts]
        assert Counter(texts) == Counter(kept)
        assert corpus.num_left_out == len(rows) - len(kept)
        check_first_loss(make_plan(replace(base, task=task, epochs=1, max_steps=1, eval_every=None)), folder / "run")

    check()


@pytest.mark.parametrize("suffix", READERS)
def test_any_bytes_are_a_table_or_a_plain_error(new_folder, suffix):
    header = {".csv": b"text,label\n", ".tsv": b"text\tlabel\n", ".parquet": b"PAR1"}.get(suffix, b'{"text": "')
    path = new_folder() / f"bytes{suffix}"

    @any_input(40)
    @given(st.booleans(), st.binary(max_size=80))
    def check(with_header: bool, content: bytes) -> None:
        path.write_bytes(header * with_header + content)
        try:
            corpus = load_corpus(FilesTask("files", train_file=str(path)))
        except ConfigError as error:
            check_message(error, str(path))
        else:
            assert len(corpus.train) > 1

    check()
