"""Wrong words, values and files: each is refused before anything is trained, in plain words.

Cases of one word that only a multirun reads begin with `-m`. Sizes that would not fit into any memory are refused, too.
"""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from classifiers import TINY_BERT, build, same_weights
from hydra import compose, initialize_config_dir
from program import ROOT, SMALL, train_py_here
from transformers import BertConfig, BertModel

from warmup_lab.cli.compose import lower_case_choices, register_experiments
from warmup_lab.cli.explain import explain
from warmup_lab.cli.mistakes import refuse_mistakes
from warmup_lab.config.errors import ConfigError
from warmup_lab.config.model_schema import PretrainedModel, RandomModel
from warmup_lab.config.parse import resolve
from warmup_lab.config.task_schema import FilesTask
from warmup_lab.plan import make_plan
from warmup_lab.system.cache import cache_root
from warmup_lab.tasks import load_corpus, table_files
from warmup_lab.tasks.tokenizing import learn_vocabulary, tokenize

HUGE = "9" * 23
ROWS = "".join(f"a fine film {i},good\nan awful film {i},bad\n" for i in range(20))
FILES: dict[str, str | bytes] = {
    "good.csv": f"text,label\n{ROWS}",
    "other.csv": f"text,label\n{ROWS}so so,neutral\n",
    "one.csv": "text,label\na film,good\nno film,good\n",
    "empty.csv": "",
    "blank.csv": "\n\n",
    "header.csv": "text,label\n",
    "bytes.csv": b"text,label\n\xff\xfe\x00\xff,good\n",
    "utf16.csv": f"text,label\n{ROWS}".encode("utf-16"),
    "ragged.csv": f"text,label\n{ROWS}a, b,good\n",
    "quote.csv": f'text,label\n{ROWS}"a" film,good\n',
    "open.csv": f'text,label\n{ROWS}"a film,good\n',
    "semicolon.csv": "text;label\na;b\n",
    "twice.csv": "text,text,label\na,b,c\n",
    "none.csv": "label\na\nb\n",
    "three.csv": "a,b,c,label\n1,2,3,4\n",
    "nothing.csv": "text,label\n ,good\n ,bad\n",
    "unlabelled.csv": f"text,label\n{ROWS}a film,\n",
    "rare.csv": "text,label\n" + "".join(f"film {i},{i // 2}\n" for i in range(50)),
    "values.csv": "text,label\n" + "".join(f"film {i},{i / 7}\n" for i in range(50)),
    "tab.tsv": "text\tlabel\na\tfilm\tgood\n",
    "notes.txt": "text",
    "array.json": '[{"text": "a", "label": "b"}]',
    "pretty.json": '[\n{"text": "a", "label": "b"}\n]',
    "cut.jsonl": '{"text": "a", "label": "b"}\n{"text": "a", "lab',
    "number.jsonl": "1\n",
    "twice.jsonl": '{"text": "a", "text": "b", "label": "c"}\n',
    "list.jsonl": '{"text": "a", "label": ["b"]}\n',
    "dict.jsonl": '{"text": "a", "label": {"b": 1}}\n',
    "text.jsonl": '{"text": ["a"], "label": "b"}\n',
    "null.jsonl": '{"text": "a", "label": "b"}\n{"text": "a", "label": null}\n',
    "missing.jsonl": '{"text": "a", "label": "b"}\n{"text": "a"}\n',
    "surrogate.jsonl": '{"text": "\\ud800", "label": "b"}\n',
    "deep.jsonl": "[" * 100_000,
    "damaged.parquet": b"PAR1 and no more",
}


@pytest.fixture(scope="module", autouse=True)
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The working directory: a folder with `FILES`, and what text cannot say."""
    folder = tmp_path_factory.mktemp("bad_input")
    for name, content in FILES.items():
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    (folder / "folder.csv").mkdir()
    (folder / "bare").mkdir()
    (folder / "bare" / "config.json").write_text('{"model_type": "bert"}')
    pq.write_table(pa.table({"text": ["a", "b"], "label": [b"x", b"y"]}), folder / "bytes.parquet")
    register_experiments(ROOT / "experiments")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        yield folder


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bert")
    BertModel(BertConfig(**TINY_BERT, max_position_embeddings=32)).save_pretrained(folder)
    return folder


@pytest.fixture
def changed_model(bert: Path, tmp_path: Path) -> Callable[[dict[str, Any]], Path]:
    """A copy of the folder of a model with other keys in its `config.json`."""

    def change(keys: dict[str, Any]) -> Path:
        shutil.copytree(bert, tmp_path, dirs_exist_ok=True)
        config = json.loads((bert / "config.json").read_text())
        (tmp_path / "config.json").write_text(json.dumps(config | keys))
        return tmp_path

    return change


def refusal(words: str | list[str]) -> str | None:
    """What `train.py` prints about these words after `error: `; None if it would print a traceback.

    Without starting Hydra's application, which takes longer than the rest.
    """
    words = words.split() if isinstance(words, str) else words
    try:
        refuse_mistakes(words)
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            config = compose("config", lower_case_choices(words))
        make_plan(resolve(config))
    except Exception as error:
        return explain(error, words)
    raise AssertionError("accepted")


def unreadable(path: str) -> str | None:
    """As `refusal`, of `task=files task.train_file=PATH`, which need not be composed for each file."""
    try:
        load_corpus(FilesTask("files", train_file=path))
    except Exception as error:
        return explain(error)
    raise AssertionError("accepted")


CASES = [
    # ------------------------------------------------------------------------------------------- words
    ("=3", "=3: has no key; arguments have the form KEY=VALUE, such as seed=1"),
    ("=", "=: has no key"),
    ("warmup_ratio", "warmup_ratio: has no value; type warmup_ratio=VALUE"),
    ("--lr=1e-3", "--lr=1e-3: keys have no dashes; type optimizer.lr=1e-3"),
    ("seed=0,1", "seed=0,1: several values need -m"),
    ("seed=[0", "seed=[0: the value cannot be read: check its brackets, quotes and commas"),
    ("task.train_file=é.csv", "é.csv: special characters need quotes; type 'task.train_file=\"é.csv\"'"),
    ("lr=1e-3", "unknown key lr; type optimizer.lr=1e-3"),
    ("+lr=1e-3", "unknown key lr; type optimizer.lr=0.001"),
    ("+colour=red", "unknown key colour"),
    ("+sede=1", "unknown key sede; did you mean 'seed'?"),
    ("+a.b.c=3", "unknown key a. --help lists all keys"),
    ("a.b=3", "unknown key a. --help lists all keys"),
    ("seed.x=3", "unknown key seed.x: seed has no keys; type seed=3"),
    ("optimizer.lr.x=3", "unknown key optimizer.lr.x: optimizer.lr has no keys; type optimizer.lr=3"),
    ("+seed.x=3", "seed={'x': 3}: must be a whole number"),
    ("warmup_ration=0.1", "unknown key warmup_ration; did you mean 'warmup_ratio'?"),
    ("+warmup_ration=0.1", "unknown key warmup_ration; did you mean 'warmup_ratio'?"),
    ("optimizer.lrr=1", "unknown key optimizer.lrr; type optimizer.lr=1"),
    ("+optimizer.lrr=1", "unknown key optimizer.lrr"),
    ("optimiser.lr=1", "unknown key optimiser.lr; type optimizer.lr=1"),
    ("+task.max_lenght=3", "unknown key task.max_lenght; did you mean 'max_length'?"),
    ("+compare.marginn=3", "unknown key compare.marginn; did you mean 'margin'?"),
    ("+scheduler.num_cycles=2", "unknown key scheduler.num_cycles"),
    ("hydra.job.chdir=maybe", "hydra.job.chdir=maybe: Value 'maybe' is not a valid bool (type str)"),
    # ---------------------------------------------------------------------------------------- sections
    ("task=null", "task=null: choose one of ag_news"),
    ("model=null", "model=null: choose one of bert_base"),
    ("optimizer=null", "optimizer=null: choose one of adafactor"),
    ("scheduler=null", "scheduler=null: choose one of bertlinear"),
    ("tracking=null", "tracking=null: type tracking=none"),
    ("probe=null", "probe=null: type probe=none"),
    ("optimizer=3", "optimizer=3: choose one of adafactor"),
    ("probe=1e3", "probe=1e3: type probe=none"),
    ("model=true", "model=true: choose one of bert_base"),
    ("task=sst2,nan", "task=sst2,nan: choose one of"),
    ("~task", "task is missing: choose one of its options"),
    ("~model", "model is missing: choose one of its options"),
    ("~optimizer", "optimizer is missing: choose one of its options"),
    ("~scheduler", "scheduler.name is missing: type scheduler=warmuplinear"),
    ("~tracking", "tracking is missing: choose one of its options"),
    ("~optimizer.lr", "optimizer.lr is missing: give it a value"),
    ("~optimizer.name", "optimizer.name is missing: give it a value"),
    ("~scheduler.name", "scheduler.name is missing: type scheduler=warmuplinear"),
    ("~task.kind", "unknown task.kind 'None'. Known: files, hub, synthetic"),
    ("compare=3", "compare=3: must be a section of keys, such as compare.KEY=VALUE"),
    ("compare=[1]", "compare=[1]: Cannot merge DictConfig with ListConfig"),
    ("scheduler=warmupcosin", "unknown scheduler 'warmupcosin'; did you mean 'warmupcosine'? Known: bertlinear"),
    ("optimizer=adamww", "unknown optimizer 'adamww'; did you mean 'adamw'?"),
    ("model=bert_tinny", "unknown model 'bert_tinny'; did you mean 'bert_tiny'?"),
    ("task=sst3", "unknown task 'sst3'; did you mean 'sst2'?"),
    ("scheduler.name=linnear", "unknown scheduler 'linnear'"),
    ("optimizer.name=3", "unknown optimizer '3'. Known: adafactor"),
    ("task.kind=cloud", "unknown task.kind 'cloud'"),
    ("tracking.mode=sometimes", "unknown tracking.mode 'sometimes'"),
    ("tracking.mode=disabled", "tracking.mode=disabled: type tracking=none"),
    ("tracking.mode=null", "tracking.mode=null: must be a text"),
    # ------------------------------------------------------------------------------------ whole numbers
    ("seed=abc", "seed=abc: must be a whole number"),
    ("seed=-1", "seed=-1: must not be negative"),
    ("seed=1.5", "seed=1.5: must be a whole number"),
    ("seed=null", "seed=null: must be a whole number"),
    ("seed=true", "seed=True: must be a whole number"),
    ("seed=[1]", "seed=[1]: must be a whole number; type -m seed=1 for several runs"),
    ("seed={a:1}", "seed={'a': 1}: must be a whole number"),
    (f"seed={HUGE}", f"seed={HUGE}: must be below 2**63"),
    (f"task.data_seed={HUGE}", f"task.data_seed={HUGE}: must be below 2**63"),
    ("batch_size=0", "batch_size=0: must be at least 1"),
    (f"batch_size={HUGE}", f"batch_size={HUGE}: must be at most 1,000,000,000"),
    (f"grad_accumulation={HUGE}", "must be at most 1,000,000,000"),
    ("epochs=1.5", "epochs=1.5: must be a whole number"),
    ("epochs=1e3", "epochs=1000.0: must be a whole number; type epochs=1000"),
    (f"epochs={HUGE}", "must be at most 1,000,000,000"),
    ("epochs=1000000", "epochs=1000000 is 120,000,000 updates; at most 10,000,000"),
    (f"max_steps={HUGE}", f"max_steps={HUGE}: must be at most 10,000,000"),
    ("max_steps=None", "max_steps=None: type max_steps=null"),
    ("eval_every=0", "eval_every=0: must be at least 1"),
    ("checkpoint_every=-1", "checkpoint_every=-1: must be at least 1"),
    ("num_threads=0", "num_threads=0: must be at least 1"),
    (f"num_threads={HUGE}", f"num_threads={HUGE}: must be at most 1,024"),
    ("task.num_train=-1", "task.num_train=-1: must be at least 2"),
    (f"task.num_train={HUGE}", "must be at most 10,000,000"),
    ("task.max_length=4", "task.max_length=4: must be at least 8"),
    (f"task.max_length={HUGE}", f"task.max_length={HUGE}: must be at most 100,000"),
    ("model.num_heads=3", "model.num_heads=3 does not divide model.hidden_size=128"),
    ("model.num_layers=0", "model.num_layers=0: must be at least 1"),
    ("model.num_layers=100000", "model.num_layers=100000: must be at most 1,000"),
    (f"model.hidden_size={HUGE}", "must be at most 100,000"),
    ("model.num_layers=1000 model.hidden_size=65536", "model.vocab_size=8192: 5.2e+13 weights are too many"),
    ("model.vocab_size=99", "model.vocab_size=99: must be at least 100"),
    (f"model.vocab_size={HUGE}", "must be at most 1,000,000"),
    # ----------------------------------------------------------------------------------------- numbers
    ("warmup_ratio=-0.1", "warmup_ratio=-0.1: must not be negative"),
    ("warmup_ratio=1.1", "warmup_ratio=1.1: must be in [0, 1]; for 1.1 % type warmup_ratio=0.011"),
    ("warmup_ratio=10", "for 10 % type warmup_ratio=0.1; for 10 updates type warmup_steps=10"),
    ("warmup_ratio=150", "warmup_ratio=150: must be in [0, 1]; for 150 updates type warmup_steps=150"),
    ("warmup_ratio=inf", "warmup_ratio=inf: must be in [0, 1]"),
    ("warmup_ratio=1e999", "warmup_ratio=inf: must be in [0, 1]"),
    ("warmup_ratio=nan", "warmup_ratio=nan: must not be negative"),
    ("warmup_ratio=lots", "warmup_ratio=lots: must be a number"),
    ("warmup_ratio=10%", "warmup_ratio=10%: a share is a plain number; type warmup_ratio=0.1"),
    ("warmup_steps=0.1", "warmup_steps=0.1: must be a whole number or null; type warmup_ratio=0.1"),
    ("warmup_steps=-5", "warmup_steps=-5: must not be negative"),
    ("warmup_steps=400", "warmup_steps=400 is a warmup of 400 updates, but the run has 360 in all"),
    (f"warmup_steps={HUGE}", "updates, but the run has 360 in all"),
    ("warmup_epochs=inf", "warmup_epochs=inf: must be a finite number"),
    ("warmup_epochs=4", "warmup_epochs=4.0 is a warmup of 480 updates, but the run has 360 in all"),
    ("warmup_steps=5 warmup_ratio=0.1", "warmup_ratio=0.1 and warmup_steps=5: give one of them"),
    ("scheduler=constantlr warmup_steps=5", "use scheduler=warmupconstant"),
    ("optimizer.lr=0", "optimizer.lr=0.0: must be a finite number above 0"),
    ("optimizer.lr=-1", "optimizer.lr=-1.0: must be"),
    ("optimizer.lr=nan", "optimizer.lr=nan: must be"),
    ("optimizer.lr=1e400", "optimizer.lr=inf: must be"),
    ("optimizer.lr=fast", "optimizer.lr=fast: must be a number"),
    ("optimizer.betas=[0.9,1.5]", "optimizer.betas=(0.9, 1.5): each must be in [0, 1)"),
    ("optimizer.betas=[nan,0.9]", "optimizer.betas=(nan, 0.9): each must be in [0, 1)"),
    ("optimizer.betas=0.9", "optimizer.betas=0.9: must be a list of 2"),
    ("optimizer.eps=0", "optimizer.eps=0.0: must be above 0"),
    ("optimizer.weight_decay=inf", "optimizer.weight_decay=inf: must be 0 or above"),
    ("max_grad_norm=0", "max_grad_norm=0.0: must be above 0"),
    ("max_grad_norm=nan", "max_grad_norm=nan: must be above 0"),
    ("model.dropout=nan", "model.dropout=nan: must be in [0, 1)"),
    ("task.label_noise=0.7", "task.label_noise=0.7: must be in [0, 0.5)"),
    ("task.label_noise=nan", "task.label_noise=nan: must be in [0, 0.5)"),
    ("compare.margin=5%", "compare.margin=5%: must be a number or null; type compare.margin=0.05"),
    ("compare.margin=0", "compare.margin=0.0: must be above 0"),
    ("compare.margin=inf", "compare.margin=inf: must be above 0"),
    ("scheduler.start_factor=nan", "scheduler.start_factor=nan: must be in [0, 1)"),
    ("scheduler.warmup_power=inf", "scheduler.warmup_power=inf: must be above 0"),
    ("scheduler.warmup_rate=nan", "scheduler.warmup_rate=nan: must be between -100 and 100"),
    ("scheduler.warmup=0.1", "scheduler.warmup=0.1: must be a shape, such as linear; for the length type"),
    ("scheduler=cosine scheduler.num_cycles=inf", "scheduler.num_cycles=inf: must be a number up to 1,000,000"),
    ("scheduler=warmup_stable_decay scheduler.num_cycles=nan", "scheduler.num_cycles=nan: must be a number"),
    ("scheduler=cosine_with_restarts scheduler.num_cycles=10000000", "must be a number up to 1,000,000"),
    ("scheduler=polynomial scheduler.power=nan", "scheduler.power=nan: must be above 0"),
    ("scheduler=polynomial scheduler.lr_end=nan", "scheduler.lr_end=nan: must be in [0, optimizer.lr=0.001)"),
    # ------------------------------------------------------------------------------------------- texts
    ("study=a/b", "study='a/b': must be a plain folder name"),
    ("study=", "study='': must be a plain folder name"),
    ("study=null", "study=null: must be a text"),
    ("device=gpu", "device=gpu: type device=cuda"),
    ("device=tpu9", "unknown device 'tpu9'"),
    ("device=cuda:-1", "unknown device 'cuda:-1'"),
    ("device=cuda:99", "device=cuda:99 is not on this machine"),
    ("device=null", "device=null: must be a text"),
    ("precision=fp8", "unknown precision 'fp8'"),
    ("objective=", "objective=: no such metric. Known: train_loss"),
    ("compare.reference=None", "compare.reference=None: type compare.reference=null"),
    ("model=pretrained", "model=pretrained needs model.path"),
    ("model=pretrained model.path=nowhere", "nowhere"),
    ("model=pretrained model.path=bare", "bare"),
    # ------------------------------------------------------------------------------------------- files
    ("task=files", "task=files needs task.train_file"),
    (
        "good.csv task.label_column=lable",
        "good.csv has no column 'lable': type task.label_column=NAME; did you mean 'label'?",
    ),
    ("good.csv task.text_columns=[body]", "good.csv has no column 'body': type 'task.text_columns=[NAME]'"),
    ("good.csv task.validation_file=other.csv", "other.csv has labels that the training examples lack: 'neutral'."),
    ("good.csv task.validation_file=nowhere.csv", "nowhere.csv: there is no such file"),
    (
        "good.csv 'task.validation_file=\"~nouser/x.csv\"'",
        "starts with ~ and the name of no user here; write the path in full",
    ),
    ("good.csv task.validation_share=1e-9", "good.csv: task.validation_share=1e-09 of 40 examples leaves none"),
    ("one.csv", "one.csv: all 2 examples have the label 'good'; a classifier needs at least two labels"),
    ("nowhere.tsv", "nowhere.tsv: there is no such file"),
    ("god.csv", "did you mean 'good.csv'?"),
    ("folder.csv", "folder.csv is a folder: give the path of a file in it"),
    ("notes.txt", "notes.txt: unknown suffix '.txt'. Known: .csv"),
    ("empty.csv", "empty.csv is empty: it needs a header and rows"),
    ("blank.csv", "blank.csv is empty: it needs a header and rows"),
    ("header.csv", "header.csv has a header but no rows"),
    ("bytes.csv", "bytes.csv is not UTF-8 text (byte 0xff at position 11): save it as UTF-8"),
    ("utf16.csv", "utf16.csv is not UTF-8 text (byte 0xff at position 0): save it as UTF-8"),
    ("ragged.csv", "ragged.csv, line 42: 3 fields where the header has 2; quote a text that holds a comma"),
    ("quote.csv", "quote.csv, line 42: ',' expected after '\"'; write a quote inside a quoted text twice"),
    ("open.csv", "open.csv, line 42: unexpected end of data"),
    ("semicolon.csv", "semicolon.csv has no column 'label': type task.label_column=NAME"),
    ("twice.csv", "twice.csv: two columns are named 'text'; rename one"),
    ("none.csv", "none.csv: one or two columns of text are needed, but the text columns are: none."),
    ("three.csv", "three.csv: one or two columns of text are needed, but the text columns are: 'a', 'b', 'c'."),
    ("nothing.csv", "nothing.csv: all texts are empty (columns 'text')"),
    ("unlabelled.csv", "unlabelled.csv: 1 of 41 examples have no label in column 'label', the first is example 41"),
    ("values.csv", "values.csv: column 'label' has 50 different values in 50 examples, so it does not hold classes"),
    ("rare.csv", "rare.csv: task.validation_share=0.1 of 50 examples leaves none for validation"),
    ("tab.tsv", "tab.tsv, line 2: 3 fields where the header has 2; TSV has no quoting"),
    ("array.json", "array.json, line 1: a list, not an object; each line needs one object {...}"),
    ("pretty.json", "pretty.json, line 1: not JSON"),
    ("cut.jsonl", "cut.jsonl, line 2: not JSON"),
    ("number.jsonl", "number.jsonl, line 1: a int, not an object"),
    ("twice.jsonl", "twice.jsonl, line 1: not JSON (the key 'text' is there twice)"),
    ("list.jsonl", "list.jsonl: the label of example 1 (column 'label') is a list; a label is a text or a number"),
    ("dict.jsonl", "dict.jsonl: the label of example 1 (column 'label') is a dict"),
    ("bytes.parquet", "bytes.parquet: the label of example 1 (column 'label') is a bytes"),
    ("text.jsonl", "text.jsonl: column 'text' has a list, not a text"),
    ("null.jsonl", "null.jsonl: 1 of 2 examples have no label in column 'label', the first is example 2"),
    ("missing.jsonl", "missing.jsonl: 1 of 2 examples have no label in column 'label', the first is example 2"),
    ("surrogate.jsonl", "surrogate.jsonl, line 1: not JSON"),
    ("deep.jsonl", "deep.jsonl, line 1: not JSON"),
    ("damaged.parquet", "damaged.parquet: cannot be read as Parquet"),
]
"""Words, of which a first one with the suffix of a file is the training file; and a part of the message."""


@pytest.mark.parametrize(("words", "message"), CASES, ids=[words for words, _ in CASES])
def test_it_is_refused_in_plain_words(words, message):
    first, *others = shlex.split(words)
    if "=" not in first and Path(first).suffix in (".txt", *table_files.READERS):
        found = refusal(["task=files", f"task.train_file={first}", *others]) if others else unreadable(first)
    else:
        found = refusal([first, *others])
    assert found is not None, "a traceback"
    assert message in found
    assert len(found.splitlines()) <= 2


def test_there_are_many_cases():
    assert len({words for words, _ in CASES}) == len(CASES) >= 120


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("seed=range(100000000)", "100,000,000 cells are too many; at most 1,000,000"),
        ("seed=range(2000) warmup_steps=range(2000)", "4,000,000 cells are too many; at most 1,000,000"),
        ("seed=range(0)", "seed=range(0): the range is empty"),
        ("seed=range(5,1)", "seed=range(5,1): the range is empty"),
        ("seed=range(1,2,0)", "seed=range(1,2,0): a range has a finite start, end and step"),
        ("warmup_ratio=range(0,inf)", "warmup_ratio=range(0,inf): a range has a finite start, end and step"),
        ("hydra/sweeper=optuna hydra.sweeper.n_trials=0 warmup_ratio=0,0.1", "hydra.sweeper.n_trials=0: must be at"),
        ("hydra/sweeper=optuna hydra.sweeper.batch_size=0 warmup_ratio=0,0.1", "hydra.sweeper.batch_size=0: must be"),
        ("hydra/sweeper=optuna optimizer.lr=interval(nan,1)", "the interval needs two rising numbers"),
        ("hydra/sweeper=optuna optimizer.lr=interval(1,0)", "the interval needs two rising numbers"),
        ("hydra/sweeper=optuna optimizer.lr=tag(log,interval(0,1))", "the interval needs two rising numbers above 0"),
    ],
)
def test_a_multirun_refuses_it_before_its_cells_are_listed(words, message, tmp_path):
    done = train_py_here("-m", *SMALL, *words.split(), cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "runs").exists() or not list(tmp_path.glob("runs/*/sweep.json"))


@pytest.mark.parametrize(
    "words", ["seed.x=3", "compare=3", "task=files task.train_file=open.csv", "hydra.run.dir=good.csv/run"]
)
def test_the_program_prints_it_and_leaves_nothing_behind(words, files):
    before = sorted(files.rglob("*"))
    done = train_py_here("tracking=none", *words.split(), cwd=files)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1
    assert sorted(files.rglob("*")) == before


# ------------------------------------------------------------------------------------------- a foreign config.json


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"num_hidden_layers": 0}, "config.json has num_hidden_layers=0: must be at least 1"),
        ({"num_hidden_layers": -2}, "config.json has num_hidden_layers=-2: must be at least 1"),
        ({"num_hidden_layers": 100_000}, "config.json has num_hidden_layers=100000: must be at most 1,000"),
        (
            {"text_config": {"num_layers": 10**5}},
            "config.json has text_config.num_layers=100000: must be at most 1,000",
        ),
        ({"block_sizes": [600, 600]}, "config.json has block_sizes=[600, 600]: must be at most 1,000"),
        ({"num_hidden_layers": 1.5}, "Field 'num_hidden_layers' expected int, got float (value: 1.5)"),
        ({"num_attention_heads": 0}, "config.json has num_attention_heads=0: must be at least 1"),
        ({"num_attention_heads": 3}, "The hidden size (8) is not a multiple of the number of attention heads (3)"),
        ({"hidden_size": 0}, "config.json has hidden_size=0: must be at least 1"),
        ({"hidden_size": 10**9}, "config.json describes 5e+18 weights, but its files have at most"),
        ({"max_position_embeddings": 10**12}, "config.json describes 8e+12 weights, but its files have at most"),
        ({"vocab_size": 0}, "config.json has vocab_size=0: must be at least 1"),
        ({"vocab_size": 49}, "the weights do not fit config.json, see embeddings.word_embeddings.weight"),
        ({"pad_token_id": 99_999}, "config.json has pad_token_id=99999: must be below vocab_size=50"),
        ({"pad_token_id": 1}, "the tokenizer pads with token 0, but model.path="),
        ({"hidden_act": "boom"}, "gives no text classifier: KeyError: 'boom'"),
        ({"hidden_dropout_prob": 2.0}, "dropout probability has to be between 0 and 1, but got 2.0"),
        ({"model_type": 3}, "gives no text classifier: unknown model_type 3"),
    ],
    ids=str,
)
def test_a_foreign_model_is_refused_in_plain_words(keys, message, changed_model):
    folder = changed_model(keys)
    with pytest.raises(ConfigError) as error:
        build(PretrainedModel("pretrained", path=str(folder)))
    assert str(error.value).startswith(f"model.path={folder}") or "but model.path" in message
    assert message in str(error.value)


@pytest.mark.parametrize(
    "keys", [{"num_labels": 10**9}, {"id2label": ["a"]}, {"label2id": 3}, {"chunk_size_feed_forward": 7}], ids=str
)
def test_labels_and_chunks_of_a_foreign_model_do_not_matter(keys, changed_model, bert):
    """The labels are those of the task, and chunks only save memory."""
    model, unchanged = (build(PretrainedModel("pretrained", path=str(one))) for one in (changed_model(keys), bert))
    assert same_weights(model, unchanged)
    ids = torch.ones(2, 16, dtype=torch.int64)
    assert model(input_ids=ids).logits.shape == (2, 2)


def test_a_key_of_a_foreign_model_that_is_there_twice_is_refused(changed_model):
    folder = changed_model({})
    (folder / "config.json").write_text('{"model_type": "bert", "model_type": "bert"}')
    with pytest.raises(ConfigError, match=r"config.json is not valid JSON \(the key 'model_type' is there twice\)"):
        build(PretrainedModel("pretrained", path=str(folder)))


# ------------------------------------------------------------------------------------------------------ the machine


@pytest.mark.parametrize(
    ("error", "words", "message"),
    [
        (OSError(28, "?"), ["hydra.run.dir=disk/run"], "No space left on device: disk/run"),
        (OSError(28, "?"), [], "No space left on device: runs"),
        (OSError(95, "?", "disk/.lock"), ["hydra.run.dir=other"], "Operation not supported: disk/.lock"),
        (Exception("No space left on device (os error 28)"), ["output=disk"], "No space left on device: disk"),
    ],
)
def test_an_error_of_the_disk_names_a_path(error, words, message):
    """Hydra's own files, and those that tokenizers and safetensors write, raise errors without a path."""
    assert explain(error, words) == message


def test_a_home_folder_of_nobody_is_named(monkeypatch):
    monkeypatch.setenv("WARMUP_LAB_CACHE", "~nouser/x")
    with pytest.raises(RuntimeError) as error:
        cache_root()
    found = "WARMUP_LAB_CACHE=~nouser/x: starts with ~ and the name of no user here; write the path in full"
    assert explain(error.value) == found


# ------------------------------------------------------------------------ sizes, and what is only probably wrong


def test_a_parquet_file_that_fills_the_memory_is_refused_while_it_is_read(tmp_path, monkeypatch):
    """1,000 times the same text are a few KB."""
    monkeypatch.setattr(table_files, "_LARGEST_TABLE", 2**20)
    path = tmp_path / "small.parquet"
    pq.write_table(pa.table({"text": ["a film " * 1000] * 1000, "label": ["good", "bad"] * 500}), path)
    assert path.stat().st_size < 20_000
    found = refusal(["task=files", f"task.train_file={path}"])
    assert found == f"{path}: its texts are over 0.000977 GiB once decompressed; use a part of it"


def test_a_word_of_a_megabyte_is_not_learned():
    """It is [UNK] for WordPiece, like every word of over 100 characters. Learning its pieces takes minutes."""
    texts = [f"a fine film {i} it was, an-awful one" for i in range(50)]
    with_long_words = [*texts, "film" * 250_000, "was " + "a" * 101]
    assert learn_vocabulary(with_long_words, 150) == learn_vocabulary([*texts, "was"], 150)


def test_a_word_of_over_100_characters_is_unknown(tmp_path):
    """Of 100 characters it has pieces. [CLS] and [SEP] surround the texts."""
    path = tmp_path / "words.csv"
    words = {"good": ["film" * 250_000, "a" * 101], "bad": ["a" * 100, "film"]}
    path.write_text("text,label\n" + "".join(f"{word},{label}\n" for label in words for word in words[label]))
    task = FilesTask("files", train_file=str(path), validation_share=0.5)
    corpus = load_corpus(task)
    found = tokenize(corpus, task, RandomModel("bert", vocab_size=100))
    for split, examples in ((corpus.train, found.train), (corpus.validation, found.validation)):
        for (text,), start, end in zip(split.texts, examples.offsets, examples.offsets[1:], strict=False):
            assert (examples.token_ids[start:end].tolist() == [2, 1, 3]) == (len(text) > 100)


def test_a_class_called_nan_and_validation_on_the_training_data_are_warned_about(tmp_path, caplog):
    rows = [{"text": f"film {i}", "label": "good" if i % 2 else "NaN"} for i in range(20)]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    corpus = load_corpus(FilesTask("files", train_file=str(path), validation_file=str(path)))
    assert corpus.label_names == ("NaN", "good")
    assert [record.getMessage() for record in caplog.records] == [
        f"{path}: 'NaN' is a class like the others; remove rows without a label",
        f"{path}: the validation examples are the training examples",
    ]
