"""Corpora, tokenising and batches: from a file's rows to what a forward pass takes."""

import json
import logging
import math
import os
import re
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from warmup_lab.config.errors import ConfigError
from warmup_lab.config.model_schema import PretrainedModel, RandomModel
from warmup_lab.config.task_schema import FilesTask, HubTask, SyntheticTask
from warmup_lab.system import cache, network
from warmup_lab.tasks import hub, sources, tokenizing
from warmup_lab.tasks.batches import Examples, batch_indices, collate, iterate_batches, label_entropy
from warmup_lab.tasks.sources import Corpus, Split, content_digest, load_corpus
from warmup_lab.tasks.table_files import label_name, read_table, sorted_names
from warmup_lab.tasks.tokenizing import learn_vocabulary, tokenize

DATA = os.environ.get("WARMUP_LAB_DATA")  # read before conftest takes it away
needs_data = pytest.mark.skipif(DATA is None, reason="set WARMUP_LAB_DATA to a folder with sst2, rte and trec")
LOAD = "from warmup_lab.config import SyntheticTask; from warmup_lab.tasks import load_corpus"
SYNTHETIC = SyntheticTask("synthetic")
SMALL = SyntheticTask("synthetic", num_train=200, num_validation=50, max_length=64)
BERT = RandomModel("bert", vocab_size=300)
ROWS = [("a fine film", "good"), ("a dull film", "bad"), ("what a meal", "good"), ("no more", "bad")]


@pytest.fixture(autouse=True)
def _fresh(tmp_path, monkeypatch):
    """A cache on disk and caches in memory of each test's own."""
    monkeypatch.setenv("WARMUP_LAB_CACHE", str(tmp_path / "cache"))
    for cached in (cache._spare_root, tokenizing._ready, network.reachable):
        cached.cache_clear()
    sources._LOADED.clear()


@pytest.fixture
def offline(monkeypatch):
    """A hub at which nothing answers, so that no test waits for a network or depends on one."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return path


def files(train: Path, validation: Path | None = None, **more) -> FilesTask:
    return FilesTask("files", train_file=str(train), validation_file=validation and str(validation), **more)


def tsv(path: Path, rows=ROWS, header="text\tlabel") -> Path:
    return write(path, "\n".join([header, *("\t".join(row) for row in rows)]) + "\n")


def corpus_of(*texts: tuple[str, ...], validation: int = 1) -> Corpus:
    labels = np.arange(len(texts)) % 2
    rows = list(texts)
    return Corpus(Split(rows, labels), Split(rows[:validation], labels[:validation]), ("no", "yes"))


def python(code: str, **environment: str) -> str:
    """What a fresh process prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


# ---------------------------------------------------------------------------------------------- synthetic texts

NEGATIVE = {"bad", "awful", "dreadful", "poor", "boring", "terrible", "unpleasant", "dull", "miserable", "horrible"}
POSITIVE = {"good", "great", "lovely", "superb", "pleasant", "charming", "excellent", "delightful", "splendid", "fine"}


def read_sentence(text: str) -> int:
    """The sentiment as a reader finds it, with regular expressions instead of the grammar."""
    link = r"although|even though|while|whereas"
    main = re.sub(rf"^({link}|despite|unlike|besides|like) [^,]* , ", "", text)
    main = re.sub(rf" ({link}) .*$| (despite|unlike|besides|like) \w+ \w+ \w+$", "", main)
    (adjective,) = [word for word in main.split() if word in NEGATIVE | POSITIVE]
    return (adjective in POSITIVE) ^ bool(re.search(rf"\b(not|never) {adjective}\b", main))


def test_synthetic_sentences_are_many_distinct_and_balanced():
    corpus = load_corpus(SYNTHETIC)
    assert (len(corpus.train), len(corpus.validation)) == (3821, 800)
    assert len({*corpus.train.texts, *corpus.validation.texts}) == 4621
    assert corpus.label_names == ("negative", "positive")
    assert corpus.num_left_out == 0
    words = [len(text.replace(" , ", " ").split()) for (text,) in corpus.train.texts]
    assert min(words) >= 8
    assert 10 < np.mean(words) < 14
    assert max(words) <= 20
    assert abs(corpus.train.labels.mean() - 0.5) < 0.03


def test_synthetic_labels_are_what_a_reader_finds():
    corpus = load_corpus(replace(SYNTHETIC, label_noise=0.0))
    for split in (corpus.train, corpus.validation):
        assert [read_sentence(text) for (text,) in split.texts] == split.labels.tolist()


def test_synthetic_sentences_hold_negations_and_distractors():
    texts = [text for (text,) in load_corpus(SYNTHETIC).train.texts]
    negated = np.mean([bool(re.search(r"\b(not|never)\b", text)) for text in texts])
    distracted = np.mean([sum(word in NEGATIVE | POSITIVE for word in text.split()) == 2 for text in texts])
    assert negated == pytest.approx(0.3, abs=0.03)
    assert distracted == pytest.approx(0.3, abs=0.03)


def test_label_noise_flips_the_stated_share_of_training_labels_and_no_others():
    clean, noisy = (load_corpus(replace(SYNTHETIC, label_noise=noise)) for noise in (0.0, 0.05))
    assert clean.train.texts == noisy.train.texts
    assert (clean.train.labels != noisy.train.labels).sum() == 191  # 5 % of 3821
    assert (clean.validation.labels == noisy.validation.labels).all()


def test_flipped_labels_are_spread_over_an_epoch_also_at_equal_seeds():
    """Once the same stream drew the flipped labels and the second epoch: its first 191 examples were all flipped."""
    clean, noisy = (load_corpus(replace(SYNTHETIC, label_noise=noise)) for noise in (0.0, 0.05))
    flipped = clean.train.labels != noisy.train.labels
    for epoch in range(20):
        first = np.concatenate(batch_indices(3821, 32, 0, epoch))[:191]
        assert flipped[first].sum() < 25  # 9.5 are expected


def test_a_bag_of_words_does_not_solve_the_synthetic_task():
    corpus = load_corpus(replace(SYNTHETIC, label_noise=0.0))
    words = sorted({word for (text,) in corpus.train.texts for word in text.split()})
    train, validation = (
        np.array([[1.0] + [word in set(text.split()) for word in words] for (text,) in split.texts])
        for split in (corpus.train, corpus.validation)
    )
    weights = np.linalg.lstsq(train, 2.0 * corpus.train.labels - 1, rcond=None)[0]
    accuracy = ((validation @ weights > 0) == corpus.validation.labels).mean()
    assert 0.55 < accuracy < 0.75


def test_validation_does_not_change_with_the_number_of_training_sentences():
    few, many = (load_corpus(replace(SMALL, num_train=num)) for num in (100, 300))
    assert few.validation.texts == many.validation.texts
    assert few.train.texts == many.train.texts[:100]


def test_another_data_seed_is_another_corpus():
    one, other = load_corpus(SMALL), load_corpus(replace(SMALL, data_seed=1))
    assert one.digest != other.digest
    assert len(set(one.train.texts) & set(other.train.texts)) < 10


@pytest.mark.parametrize("hash_seed", ["0", "1"])
def test_the_synthetic_corpus_is_the_same_in_every_process(hash_seed):
    code = f"{LOAD}; print(load_corpus(SyntheticTask('synthetic')).digest)"
    assert python(code, PYTHONHASHSEED=hash_seed) == "4364ee4f4eb1b9072ed63fa641a3a95fae1cbb38c0b4203e30527e56f8ac61ad"


def test_loading_texts_loads_no_heavy_library():
    code = f"import sys; {LOAD}; load_corpus(SyntheticTask('synthetic')); print(*sys.modules)"
    assert not {"torch", "transformers", "datasets", "pandas", "pyarrow"} & set(python(code).split())


# ------------------------------------------------------------------------------------------------ reading files


def as_csv(path: Path, frame: pd.DataFrame) -> None:
    frame.to_csv(path, index=False)


def as_tsv(path: Path, frame: pd.DataFrame) -> None:
    frame.to_csv(path, index=False, sep="\t")


def as_json_lines(path: Path, frame: pd.DataFrame) -> None:
    frame.to_json(path, orient="records", lines=True)


def as_parquet(path: Path, frame: pd.DataFrame) -> None:
    frame.to_parquet(path)


@pytest.mark.parametrize(
    ("suffix", "save"),
    [(".csv", as_csv), (".TSV", as_tsv), (".jsonl", as_json_lines), (".json", as_json_lines), (".parquet", as_parquet)],
)
@pytest.mark.parametrize("labels", [["1", "10", "2"], [1, 10, 2], [1.0, 10.0, 2.0]])
def test_every_format_gives_the_same_corpus(tmp_path, suffix, save, labels):
    texts = ["ein schöner Film", "non è bello", "映画 は 楽しい"]
    path = tmp_path / f"data{suffix}"
    save(path, pd.DataFrame({"text": texts * 2, "label": labels * 2}))
    corpus = load_corpus(files(path, path))
    assert corpus.train.texts == [(text,) for text in texts] * 2
    assert corpus.label_names == ("1", "2", "10")  # as numbers, not as strings
    assert corpus.train.labels.tolist() == corpus.validation.labels.tolist() == [0, 2, 1] * 2
    assert corpus.train.labels.dtype == np.int64


def test_tsv_is_read_without_quoting(tmp_path):
    rows = [('"Never', "a"), ('5" is all', "b"), ('he said "no"', "a"), ('""', "b")]
    corpus = load_corpus(files(tsv(tmp_path / "a.tsv", rows), tsv(tmp_path / "b.tsv", rows)))
    assert corpus.train.texts == [('"Never',), ('5" is all',), ('he said "no"',), ('""',)]


def test_csv_is_read_with_quoting(tmp_path):
    path = write(tmp_path / "a.csv", 'text,label\r\n"one, ""two""\nthree",a\r\nplain,b\r\n')
    assert read_table(path) == {"text": ['one, "two"\nthree', "plain"], "label": ["a", "b"]}


def test_a_long_field_is_read(tmp_path):
    path = write(tmp_path / "a.csv", f"text,label\n{'x' * 200_000},a\ny,b\n")
    assert len(read_table(path)["text"][0]) == 200_000


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_byte_order_mark_line_ends_blank_lines_and_odd_separators(tmp_path, name):
    separator = "," if name.endswith("csv") else "\t"
    lines = ["\ufeff text {0}label ", "one\u2028more{0} a", "", "two\x0b\x85{0}b", ""]
    path = write(tmp_path / name, "\r\n".join(lines).format(separator))
    assert read_table(path) == {"text": ["one\u2028more", "two\x0b\x85"], "label": [" a", "b"]}
    assert load_corpus(files(path, path)).label_names == ("a", "b")


def test_texts_are_all_columns_but_label_and_index(tmp_path):
    path = write(tmp_path / "a.csv", ",idx,premise,label,hypothesis\n0,7,p one,x,h one\n1,8,p two,y,h two\n")
    assert load_corpus(files(path, path)).train.texts == [("p one", "h one"), ("p two", "h two")]
    chosen = load_corpus(files(path, path, text_columns=["hypothesis"], label_column="idx"))
    assert chosen.train.texts == [("h one",), ("h two",)]
    assert chosen.label_names == ("7", "8")


@pytest.mark.parametrize(
    ("value", "name"),
    [("1", "1"), (1, "1"), (1.0, "1"), ("1.0", "1"), (" yes ", "yes"), ("01", "01"), (0.5, "0.5"), (-1, "-1"),
     (True, "True"), ("1.5.0", "1.5.0"), (None, ""), (math.nan, ""), ("  ", ""), ("nan", "nan")],
)  # fmt: skip
def test_label_names(value, name):
    assert label_name(value) == name


def test_label_names_sort_as_numbers_where_all_are():
    assert sorted_names({"10", "9", "-1", "0.5"}) == ("-1", "0.5", "9", "10")
    assert sorted_names({"10", "9", "b"}) == ("10", "9", "b")
    assert sorted_names({"nan", "1"}) == ("1", "nan")


def test_empty_texts_are_left_out_counted_and_told(tmp_path, caplog):
    path = tsv(tmp_path / "a.tsv", [*ROWS, ("", "good"), ("  ", "bad"), ("", "")])
    with caplog.at_level(logging.WARNING):
        corpus = load_corpus(files(path, path))
    assert len(corpus.train) == len(corpus.validation) == 4
    assert corpus.num_left_out == 6
    assert "left out 6 examples" in caplog.text


def test_a_pair_of_which_one_text_is_empty_stays(tmp_path):
    path = tsv(tmp_path / "a.tsv", [("one", "", "x"), ("", "two", "y"), ("", "", "x")], header="a\tb\tlabel")
    corpus = load_corpus(files(path, path))
    assert corpus.train.texts == [("one", ""), ("", "two")]


TWO = "text\tlabel\none\ta\ntwo\tb\n"
WRONG = [  # train file, its content, validation file, its content, options, what the message says
    ("a.tsv", "", None, None, {}, ["a.tsv is empty"]),
    ("a.tsv", "\n\n", None, None, {}, ["a.tsv is empty"]),
    ("a.jsonl", "\n", None, None, {}, ["a.jsonl is empty"]),
    ("a.tsv", "text\tlabel\n", None, None, {}, ["header but no rows"]),
    ("a.csv", "text,label\n", None, None, {}, ["header but no rows"]),
    ("a.txt", TWO, None, None, {}, ["'.txt'", ".csv", ".parquet"]),
    ("a.tsv", "text\tlabel\none\ta\ntwo\n", None, None, {}, ["line 3", "1 fields", "header has 2"]),
    ("a.csv", 'text,label\n"one\nmore",a\ntwo,b,c\n', None, None, {}, ["line 4", "3 fields", "quote"]),
    ("a.csv", 'text,label\n"one,a\ntwo,b\n', None, None, {}, ["line 3", "quote"]),
    ("a.csv", 'text,label\n"one" more,a\n', None, None, {}, ["line 2", "quote"]),
    ("a.tsv", "text\ttext\tlabel\n1\t2\t3\n", None, None, {}, ["two columns", "'text'"]),
    ("a.jsonl", '{"text": "one", "label": 1}\n{"text"\n', None, None, {}, ["line 2", "not JSON"]),
    ("a.json", '[{"text": "one", "label": 1}]\n', None, None, {}, ["line 1", "list", "one {...} a line"]),
    ("a.jsonl", '{"text": "\\ud800", "label": 1}\n', None, None, {}, ["line 1", "surrogates"]),
    ("a.jsonl", '{"text": ["one"], "label": 1}\n', None, None, {}, ["'text'", "list"]),
    ("a.parquet", "PAR1", None, None, {}, ["a.parquet", "Parquet"]),
    ("a.tsv", TWO, None, None, {"label_column": "lable"}, ["'lable'", "did you mean 'label'", "Known: label, text"]),
    ("a.tsv", TWO, None, None, {"text_columns": ["Text"]}, ["'Text'", "did you mean 'text'", "task.text_columns"]),
    ("a.tsv", TWO, None, None, {"text_columns": []}, ["one or two columns"]),
    ("a.tsv", TWO, None, None, {"text_columns": ["text", "label"]}, ["one or two columns", "'label'"]),
    ("a.csv", "a,b,c,label\n1,2,3,x\n", None, None, {}, ["'a', 'b', 'c'", "task.text_columns=["]),
    ("a.csv", "id,label\n1,x\n2,y\n", None, None, {}, ["none", "task.text_columns=["]),
    ("a.tsv", "text\tlabel\none\ta\ntwo\ta\n", None, None, {}, ["all 2 examples", "'a'", "at least two"]),
    ("a.tsv", TWO, "b.tsv", TWO + "three\tc\n", {}, ["b.tsv", "training examples lack: 'c'", "'a', 'b'"]),
    ("a.tsv", TWO, "b.tsv", "words\tlabel\none\ta\n", {}, ["b.tsv", "'text'", "Known: label, words"]),
    ("a.tsv", TWO, "b.tsv", "text\tlabel\n", {}, ["b.tsv", "no rows"]),
    ("a.tsv", TWO, "b.tsv", "text\tlabel\n\ta\n", {}, ["b.tsv", "all texts are empty"]),
    ("a.tsv", TWO + "three\t\n", None, None, {}, ["1 of 3", "no label", "example 3"]),
    ("a.jsonl", '{"text": "one", "label": 1}\n{"text": "two"}\n', None, None, {}, ["1 of 2", "no label"]),
    ("a.tsv", "text\tlabel\n\ta\n  \tb\n", None, None, {}, ["all texts are empty", "'text'"]),
    ("a.tsv", TWO, None, None, {}, ["validation_share=0.1", "leaves none", "task.validation_file"]),
    ("a.tsv", TWO, "b.tsv", TWO, {"limit": 1}, ["one label alone", "task.limit"]),
]


@pytest.mark.parametrize(("train", "content", "validation", "other", "options", "parts"), WRONG)
def test_what_is_wrong_with_a_file_is_said(tmp_path, train, content, validation, other, options, parts):
    path = write(tmp_path / train, content)
    second = write(tmp_path / validation, other) if validation else None
    with pytest.raises(ConfigError) as caught:
        load_corpus(files(path, second, **options))
    message = str(caught.value)
    assert [part for part in parts if part not in message] == [], message
    assert len(message.splitlines()) <= 2


def test_files_that_are_not_there_or_not_files(tmp_path):
    with pytest.raises(ConfigError, match=r"needs task\.train_file="):
        load_corpus(FilesTask("files"))
    with pytest.raises(ConfigError, match=r"a\.tsv: there is no such file"):
        load_corpus(files(tmp_path / "a.tsv"))
    with pytest.raises(ConfigError, match="is a folder"):
        load_corpus(files(tmp_path))
    for encoding in ("latin-1", "utf-16"):
        (tmp_path / "b.csv").write_bytes("text,label\nschön,a\n".encode(encoding))
        with pytest.raises(ConfigError, match=r"not UTF-8 text \(byte 0x.. at position \d+\)"):
            load_corpus(files(tmp_path / "b.csv"))


def test_the_home_folder_may_be_written_as_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    tsv(tmp_path / "a.tsv")
    assert len(load_corpus(files(Path("~/a.tsv"), Path("~/a.tsv"))).train) == 4


# --------------------------------------------------------------------------------------- corpora: cuts and digests


def test_a_share_is_split_off_stratified_and_seeded(tmp_path):
    rows = [(f"text {i}", "rare" if i % 10 == 0 else "often") for i in range(200)]
    path = tsv(tmp_path / "a.tsv", rows)
    corpus, same = load_corpus(files(path)), load_corpus(files(path, id="same"))
    assert (len(corpus.train), len(corpus.validation)) == (180, 20)
    assert corpus.label_names == ("often", "rare")
    assert (corpus.train.labels.sum(), corpus.validation.labels.sum()) == (18, 2)
    assert set(corpus.train.texts) | set(corpus.validation.texts) == {(text,) for text, _ in rows}
    assert corpus is not same
    assert corpus.digest == same.digest
    assert load_corpus(files(path, data_seed=1)).digest != corpus.digest


def test_a_label_of_one_example_stays_in_training(tmp_path):
    rows = [*((f"text {i}", "often") for i in range(10)), ("alone", "once")]
    corpus = load_corpus(files(tsv(tmp_path / "a.tsv", rows), validation_share=0.9))
    assert ("alone",) in corpus.train.texts
    assert (len(corpus.train), len(corpus.validation)) == (2, 9)


def test_limit_takes_a_random_subset_that_only_the_data_seed_decides():
    whole, cut, other = (
        load_corpus(replace(SMALL, **more)) for more in ({}, {"limit": 60}, {"limit": 60, "max_length": 32})
    )
    assert len(cut.train) == 60
    positions = [whole.train.texts.index(text) for text in cut.train.texts]
    assert positions == sorted(positions)
    assert positions != list(range(60))
    assert (whole.train.labels[positions] == cut.train.labels).all()
    assert cut.validation.texts == whole.validation.texts
    assert cut.digest == other.digest != whole.digest
    assert load_corpus(replace(SMALL, limit=10**6)).digest == whole.digest


def test_labels_that_a_limit_cuts_away_keep_their_number(tmp_path):
    rows = [(f"text {i}", "zebra" if i else "aardvark") for i in range(50)] + [(f"more {i}", "yak") for i in range(50)]
    path = tsv(tmp_path / "a.tsv", rows)
    corpus = load_corpus(files(path, path, limit=10))
    assert corpus.label_names == ("aardvark", "yak", "zebra")
    assert set(corpus.train.labels.tolist()) == {1, 2}


def test_the_digest_is_of_the_content_alone(tmp_path):
    first, second = tsv(tmp_path / "a.tsv"), write(tmp_path / "deep" / "b.csv", "label,words\n")
    second.write_text("label,words\n" + "".join(f"{label},{text}\n" for text, label in ROWS))
    digest = load_corpus(files(first, first)).digest
    assert re.fullmatch("[0-9a-f]{64}", digest)
    assert load_corpus(files(second, second)).digest == digest
    changes = [(0, ("a fine film ", "good")), (1, ("a dull film", "awful"))]
    for number, row in changes:
        changed = tsv(tmp_path / "c.tsv", [*ROWS[:number], row, *ROWS[number + 1 :]])
        assert load_corpus(files(changed, changed)).digest != digest
    one, two = corpus_of(("ab", "c"), ("d", "e")), corpus_of(("a", "bc"), ("d", "e"))
    assert one.digest != two.digest


def test_a_corpus_is_read_once_until_its_file_changes(tmp_path):
    path = tsv(tmp_path / "a.tsv")
    first = load_corpus(files(path, path))
    assert load_corpus(files(path, path)) is first
    tsv(path, [*ROWS, ("one more", "good")])
    assert len(load_corpus(files(path, path)).train) == 5


def test_an_unknown_kind_names_the_known():
    with pytest.raises(ConfigError, match=r"unknown task\.kind 'fils'; did you mean 'files'"):
        load_corpus(FilesTask("fils"))


def test_content_digest_of_folders_files_and_hub_ids(tmp_path):
    folder = tmp_path / "model"
    write(folder / "config.json", "{}")
    write(folder / "model.safetensors", "weights")
    digest = content_digest(folder)
    write(folder / "README.md", "words")
    write(tmp_path / "copy" / "config.json", "{}")
    write(tmp_path / "copy" / "model.safetensors", "weights")
    assert content_digest(str(folder)) == content_digest(tmp_path / "copy") == digest
    write(folder / "model.safetensors", "Weights, changed")
    assert content_digest(folder) != digest
    assert content_digest(folder / "config.json") != content_digest(folder / "model.safetensors")
    assert content_digest("owner/name") == content_digest("owner/name") != content_digest("owner/name", "v1")
    with pytest.raises(ConfigError, match="no such folder"):
        content_digest("./nowhere")
    (tmp_path / "bare").mkdir()
    with pytest.raises(ConfigError, match="holds no file of a model"):
        content_digest(tmp_path / "bare")


# ------------------------------------------------------------------------------------------------------ the hub


@pytest.fixture
def hub_cache(tmp_path, monkeypatch):
    """The library's own cache, in the test's folder."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hub")


@pytest.mark.usefixtures("hub_cache")
def test_a_local_folder_is_read_as_a_data_set(tmp_path):
    for name in ("train", "validation"):
        write(tmp_path / "set" / f"{name}.csv", f"idx,text,label\n0,{name} one,good\n1,{name} two,bad\n")
    corpus = load_corpus(HubTask("hub", path=str(tmp_path / "set")))
    assert corpus.train.texts == [("train one",), ("train two",)]
    assert corpus.validation.texts == [("validation one",), ("validation two",)]
    assert corpus.label_names == ("bad", "good")
    assert corpus.train.labels.tolist() == [1, 0]


@pytest.fixture
def class_labels(tmp_path, hub_cache):  # noqa: ARG001
    """A folder of Parquet files whose labels are numbers with names; those of the test split are hidden."""
    from datasets import ClassLabel, Dataset, Features, Value

    features = Features({"text": Value("string"), "count": Value("int64"), "label": ClassLabel(names=["yes", "no"])})
    for name, labels in (("train", [0, 1, -1, 1]), ("validation", [1, 0]), ("test", [-1, -1])):
        rows = {"text": [f"{name} {i}" for i in range(len(labels))], "count": labels, "label": labels}
        path = tmp_path / "set" / f"{name}.parquet"
        path.parent.mkdir(exist_ok=True)
        Dataset.from_dict(rows, features=features).to_parquet(path)
    return HubTask("hub", path=str(tmp_path / "set"))


def test_class_labels_keep_names_and_order_and_hidden_ones_are_left_out(class_labels, caplog):
    with caplog.at_level(logging.WARNING):
        corpus = load_corpus(class_labels)
    assert corpus.label_names == ("yes", "no")
    assert corpus.train.texts == [("train 0",), ("train 1",), ("train 3",)]  # the column of numbers is no text
    assert corpus.train.labels.tolist() == [0, 1, 1]
    assert corpus.validation.labels.tolist() == [1, 0]
    assert "left out 1 examples whose label is hidden" in caplog.text


def test_a_split_of_hidden_labels_or_of_an_unknown_name_is_refused(class_labels):
    with pytest.raises(ConfigError, match="validation_split=test: the labels of this split are hidden"):
        load_corpus(replace(class_labels, validation_split="test"))
    with pytest.raises(ConfigError, match=r"Unknown split .dev.(.|\n)*task\.validation_split="):
        load_corpus(replace(class_labels, validation_split="dev"))


def test_splits_may_share_one(class_labels):
    corpus = load_corpus(replace(class_labels, train_split="train[:50%]", validation_split="train[75%:]"))
    assert corpus.train.texts == [("train 0",), ("train 1",)]
    assert corpus.validation.texts == [("train 3",)]


@pytest.mark.usefixtures("hub_cache")
def test_a_folder_without_data_and_a_path_that_is_none(tmp_path):
    (tmp_path / "set").mkdir()
    with pytest.raises(ConfigError, match="this folder cannot be read as a data set"):
        load_corpus(HubTask("hub", path=str(tmp_path / "set")))
    with pytest.raises(ConfigError, match=r"task\.path=\./nowhere: there is no such folder"):
        load_corpus(HubTask("hub", path="./nowhere"))
    with pytest.raises(ConfigError, match=r"task=hub needs task\.path"):
        load_corpus(HubTask("hub"))


@pytest.mark.usefixtures("offline", "hub_cache")
def test_without_a_network_the_error_says_both_ways_and_soon(monkeypatch, tmp_path):
    monkeypatch.setenv("WARMUP_LAB_DATA", str(tmp_path))
    started = time.perf_counter()
    with pytest.raises(ConfigError) as caught:
        load_corpus(HubTask("hub", id="sst2", path="nyu-mll/glue", name="sst2"))
    assert time.perf_counter() - started < 15  # the library alone takes 23 s
    message = str(caught.value)
    assert "cannot be reached" in message
    assert "WARMUP_LAB_DATA=<folder that holds sst2/train.tsv and sst2/validation.tsv>" in message
    assert str(tmp_path) in message
    assert len(message.splitlines()) <= 2


@pytest.mark.usefixtures("offline", "hub_cache")
def test_without_a_network_what_was_downloaded_before_is_used(tmp_path):
    import datasets

    for name in ("train", "validation"):
        write(tmp_path / "set" / f"{name}.csv", f"text,label\n{name} one,good\n{name} two,bad\n")
    datasets.load_dataset(str(tmp_path / "set"))
    (made,) = (tmp_path / "hub" / "set").iterdir()  # moved to where a download of owner/set, configuration tiny, lies
    downloads = (tmp_path / "hub" / "set").rename(tmp_path / "hub" / "owner___set")
    folder = (downloads / made.name).rename(downloads / "tiny")
    (info,) = folder.rglob("dataset_info.json")
    info.write_text(info.read_text().replace('"config_name": "default"', '"config_name": "tiny"'))
    corpus = load_corpus(HubTask("hub", path="owner/set", name="tiny"))
    assert corpus.validation.texts == [("validation one",), ("validation two",)]


@pytest.mark.usefixtures("offline")
def test_the_hub_is_switched_off_only_within():
    from huggingface_hub import constants

    assert not constants.HF_HUB_OFFLINE
    with hub.hub_access() as online:
        assert not online
        assert constants.HF_HUB_OFFLINE
    assert not constants.HF_HUB_OFFLINE


def test_a_server_that_answers_is_reachable():
    from http.server import BaseHTTPRequestHandler, HTTPServer
    from threading import Thread

    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:  # answers 501 to HEAD
        BaseHTTPRequestHandler.log_message = lambda *_: None
        Thread(target=server.handle_request, daemon=True).start()
        assert network.reachable(f"http://127.0.0.1:{server.server_port}")
    assert not network.reachable("http://127.0.0.1:9")
    assert not network.reachable("no address")


def test_a_server_that_says_nothing_is_not_waited_for_long(monkeypatch):
    monkeypatch.setattr(network, "_PATIENCE", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:
        started = time.perf_counter()
        assert not network.reachable(f"http://127.0.0.1:{server.getsockname()[1]}")
        assert time.perf_counter() - started < 3


def test_a_task_is_read_from_the_folder_of_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("WARMUP_LAB_DATA", str(tmp_path))
    tsv(tmp_path / "mine" / "train.tsv")
    tsv(tmp_path / "mine" / "validation.tsv", ROWS[:2])
    hub = HubTask("hub", id="mine", path="owner/name", text_columns=["sentence"], label_column="coarse_label")
    corpus = load_corpus(hub)  # the names of the hub's columns do not hold in these files
    assert corpus.train.texts == [(text,) for text, _ in ROWS]
    assert corpus.label_names == ("bad", "good")
    (tmp_path / "mine" / "validation.tsv").unlink()
    with pytest.raises(ConfigError, match=r"validation\.tsv: there is no such file"):
        load_corpus(hub)


@needs_data
@pytest.mark.parametrize(
    ("name", "train", "validation", "labels"),
    [
        ("sst2", 67349, 872, ("0", "1")),
        ("rte", 2490, 277, ("entailment", "not_entailment")),
        ("trec", 5452, 500, ("ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM")),
    ],
)
def test_real_data_is_read_whole_and_fast(name, train, validation, labels, monkeypatch):
    monkeypatch.setenv("WARMUP_LAB_DATA", str(DATA))
    started = time.perf_counter()
    corpus = load_corpus(HubTask("hub", id=name))
    assert time.perf_counter() - started < 2
    assert (len(corpus.train), len(corpus.validation)) == (train, validation)
    assert corpus.label_names == labels
    assert sum('"' in "".join(row) for row in corpus.train.texts) == (454 if name == "rte" else 0)


# -------------------------------------------------------------------------------------------------- tokenising

TEXTS = [
    ("The café was NOT dull , unaffable?",),
    ("supercalifragilistic " * 30,),
    ("",),
    ("映画 x\u0301 [MASK] #hash",),
    ("the the the dull dull meal",),
]


def reference(folder: Path, texts, max_length: int):
    """transformers' own tokenizer of the folder, on the same texts."""
    from transformers import AutoTokenizer

    columns = [list(column) for column in zip(*texts, strict=True)]
    return AutoTokenizer.from_pretrained(folder)(*columns, truncation=True, max_length=max_length)


@pytest.mark.parametrize(
    "texts", [TEXTS, [(text, other) for (text,), (other,) in zip(TEXTS, TEXTS[::-1], strict=True)]]
)
def test_tokens_are_those_of_transformers(texts):
    from transformers import BertTokenizer

    task = tokenize(corpus_of(*texts), replace(SMALL, max_length=16), BERT)
    expected = reference(task.tokenizer_dir, texts, 16)
    slices = [slice(*task.train.offsets[i : i + 2]) for i in range(len(texts))]
    assert [task.train.token_ids[cut].tolist() for cut in slices] == expected["input_ids"]
    assert [task.train.type_ids[cut].tolist() for cut in slices] == expected["token_type_ids"]
    assert task.train.lengths.max() == 16
    from_vocabulary = BertTokenizer(vocab=str(task.tokenizer_dir / "vocab.txt"))
    assert (
        from_vocabulary(*map(list, zip(*texts, strict=True)))["input_ids"]
        == reference(task.tokenizer_dir, texts, 512)["input_ids"]
    )


def test_a_task_of_the_synthetic_corpus():
    corpus = load_corpus(SMALL)
    task = tokenize(corpus, SMALL, BERT)
    assert (len(task.train), len(task.validation)) == (200, 50)
    assert (task.train.token_ids.dtype, task.train.type_ids.dtype) == (np.int32, np.int8)
    assert (task.train.offsets.dtype, task.train.labels.dtype) == (np.int64, np.int64)
    assert task.train.offsets[-1] == len(task.train.token_ids) == len(task.train.type_ids)
    assert (task.train.labels == corpus.train.labels).all()
    assert task.train.token_ids.max() < task.vocab_size <= 300
    assert 1 not in task.train.token_ids  # no word of the training texts is unknown
    assert (task.pad_id, task.label_names, task.digest) == (0, ("negative", "positive"), corpus.digest)
    decoded = json.loads((task.tokenizer_dir / "tokenizer.json").read_text())["model"]["vocab"]
    assert [decoded[name] for name in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("environment", [{"PYTHONHASHSEED": "1"}, {"TOKENIZERS_PARALLELISM": "false"}])
def test_the_vocabulary_is_the_same_in_every_process(environment):
    """The trainer by itself gives another vocabulary in each process, in order and, with ties, in content."""
    code = (
        "from warmup_lab.config import SyntheticTask; from warmup_lab.tasks import load_corpus\n"
        "from warmup_lab.tasks.tokenizing import learn_vocabulary\n"
        "texts = [text for (text,) in load_corpus(SyntheticTask('synthetic')).train.texts]\n"
        "print(*learn_vocabulary([*texts, *(text[::-1] for text in texts)], 600))"
    )
    texts = [text for (text,) in load_corpus(SYNTHETIC).train.texts]
    pieces = learn_vocabulary([*texts, *(text[::-1] for text in texts)], 600)
    assert len(pieces) == len(set(pieces)) == 600
    assert python(code, **environment) == " ".join(pieces)


@pytest.mark.parametrize("vocab_size", [100, 101, 1000])
def test_the_vocabulary_is_never_larger_than_asked_for(vocab_size):
    many_letters = ["".join(map(chr, range(0x4E00, 0x4E00 + 500))), "abc abc", "ABC Äbc"]
    pieces = learn_vocabulary(many_letters, vocab_size)
    assert len(pieces) <= vocab_size
    assert pieces[:5] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert {"a", "##b", "c"} <= set(pieces)  # the most frequent letters stay


@pytest.fixture
def ready_tokenizer(tmp_path):
    """A folder with a tokenizer of other ids and another padding token than ours."""
    words = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]", "the", "was", "##s", "film", "never"]
    folder = tmp_path / "ready"
    write(folder / "vocab.txt", "\n".join(words))
    write(folder / "tokenizer_config.json", '{"tokenizer_class": "BertTokenizer"}')
    write(folder / "config.json", '{"model_type": "bert"}')
    write(folder / "model.safetensors", "stands for weights")
    return folder


@pytest.mark.parametrize("kind", ["pretrained", "bert"])
def test_a_ready_tokenizer_is_used(ready_tokenizer, kind):
    path = str(ready_tokenizer)
    model = PretrainedModel(kind, path=path) if kind == "pretrained" else RandomModel(kind, tokenizer=path)
    task = tokenize(corpus_of(("The films was",), ("never x",)), SMALL, model)
    assert task.train.token_ids.tolist() == [1, 5, 8, 7, 6, 2, 1, 9, 0, 2]
    assert task.train.offsets.tolist() == [0, 6, 10]
    assert (task.pad_id, task.vocab_size) == (3, 10)
    assert reference(task.tokenizer_dir, [("The films was",)], 16)["input_ids"] == [[1, 5, 8, 7, 6, 2]]
    assert not list(task.tokenizer_dir.glob("*.safetensors"))


def test_padding_and_truncation_that_a_tokenizer_brings_are_not_used(tmp_path):
    """As in the folder of all-MiniLM-L6-v2, which pads everything to 128 tokens."""
    import tokenizers

    corpus = corpus_of(("the film was never the film",), ("never",))
    plain = tokenize(corpus, SMALL, BERT)
    tokenizer = tokenizers.Tokenizer.from_file(str(plain.tokenizer_dir / "tokenizer.json"))
    tokenizer.enable_padding(length=32)
    tokenizer.enable_truncation(4)
    folder = plain.tokenizer_dir.rename(tmp_path / "padding")
    tokenizer.save(str(folder / "tokenizer.json"))
    assert same(tokenize(corpus, SMALL, RandomModel("bert", tokenizer=str(folder))).train, plain.train)


def test_a_changed_tokenizer_is_read_anew(ready_tokenizer):
    model = PretrainedModel("pretrained", path=str(ready_tokenizer))
    assert tokenize(corpus_of(("film",), ("never",)), SMALL, model).train.token_ids.tolist() == [1, 8, 2, 1, 9, 2]
    write(ready_tokenizer / "vocab.txt", "\n".join(["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]", "never", "film"]))
    assert tokenize(corpus_of(("film",), ("never",)), SMALL, model).train.token_ids.tolist() == [1, 6, 2, 1, 5, 2]


@pytest.mark.usefixtures("offline")
def test_a_tokenizer_that_cannot_be_had(tmp_path, ready_tokenizer):
    corpus = corpus_of(("one",), ("two",))
    (ready_tokenizer / "vocab.txt").unlink()
    with pytest.raises(ConfigError, match=r"model\.path=.*ready holds no tokenizer"):  # transformers makes an empty one
        tokenize(corpus, SMALL, PretrainedModel("pretrained", path=str(ready_tokenizer)))
    with pytest.raises(ConfigError, match=r"there is no such folder, and a hub id looks like owner/name"):
        tokenize(corpus, SMALL, RandomModel("bert", tokenizer=str(tmp_path / "nowhere")))
    write(tmp_path / "odd" / "notes.txt", "no tokenizer")
    with pytest.raises(ConfigError, match=r"model\.tokenizer=.*odd gives no tokenizer"):
        tokenize(corpus, SMALL, RandomModel("bert", tokenizer=str(tmp_path / "odd")))
    started = time.perf_counter()
    with pytest.raises(ConfigError, match=r"model\.tokenizer=owner/name gives no tokenizer: .*cannot be reached"):
        tokenize(corpus, SMALL, RandomModel("bert", tokenizer="owner/name"))
    assert time.perf_counter() - started < 15


# ------------------------------------------------------------------------------------------------ cache on disk


def same(one: Examples, other: Examples) -> bool:
    names = ("token_ids", "type_ids", "offsets", "labels")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)


def test_texts_are_tokenised_once(monkeypatch):
    corpus = load_corpus(SMALL)
    first = tokenize(corpus, SMALL, BERT)
    with monkeypatch.context() as patch:
        for name in ("_encode", "learn_vocabulary"):
            patch.setattr(tokenizing, name, lambda *_, **__: pytest.fail("made anew"))
        again = tokenize(corpus, SMALL, BERT)
        with pytest.raises(pytest.fail.Exception, match="made anew"):
            tokenize(corpus, replace(SMALL, max_length=9), BERT)
    assert same(first.train, again.train)
    assert same(first.validation, again.validation)
    assert (first.vocab_size, first.tokenizer_dir) == (again.vocab_size, again.tokenizer_dir)
    assert tokenize(corpus, replace(SMALL, max_length=9), BERT).train.lengths.max() == 9
    assert tokenize(corpus, SMALL, replace(BERT, vocab_size=120)).vocab_size <= 120


def damage(path: Path, how: str) -> None:
    content = bytearray(path.read_bytes())
    if how == "a flipped bit":
        content[len(content) // 2] ^= 1
    path.write_bytes({"cut": content[: len(content) // 2], "empty": b"", "noise": b"noise"}.get(how, bytes(content)))


@pytest.mark.parametrize("how", ["cut", "empty", "noise", "a flipped bit"])
def test_damaged_files_are_made_again(tmp_path, how, caplog):
    corpus = load_corpus(SMALL)
    first = tokenize(corpus, SMALL, BERT)
    stored = {path: path.read_bytes() for path in (tmp_path / "cache").rglob("*") if path.is_file()}
    assert {path.suffix for path in stored} == {".npz", ".json", ".txt"}
    for path in stored:
        damage(path, how)
    again = tokenize(corpus, SMALL, BERT)
    assert same(first.train, again.train)
    assert caplog.text.count("is damaged") == 2
    assert {path: path.read_bytes() for path in stored} == stored


def test_the_cache_is_made_again_when_its_tokenizer_was_deleted():
    corpus = load_corpus(SMALL)
    folder = tokenize(corpus, SMALL, BERT).tokenizer_dir
    for path in folder.iterdir():
        path.unlink()
    assert (tokenize(corpus, SMALL, BERT).tokenizer_dir / "tokenizer.json").is_file()


def test_a_cache_that_cannot_be_written_costs_no_run(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("WARMUP_LAB_CACHE", str(write(tmp_path / "file", "not a folder") / "cache"))
    corpus = load_corpus(SMALL)
    task = tokenize(corpus, SMALL, BERT)
    assert reference(task.tokenizer_dir, [("the film",)], 16)["input_ids"][0][0] == 2
    assert caplog.text.count("cannot write to the cache") == 1
    assert "WARMUP_LAB_CACHE" in caplog.text
    monkeypatch.setattr(tokenizing, "_encode", lambda *_, **__: pytest.fail("made anew"))
    assert same(tokenize(corpus, SMALL, BERT).train, task.train)  # kept as long as the process lives
    assert (tmp_path / "file").read_text() == "not a folder"


def test_processes_may_share_a_cache_that_is_still_empty():
    code = (
        "from warmup_lab.config import RandomModel, SyntheticTask\n"
        "from warmup_lab.tasks import load_corpus, tokenize\n"
        "config = SyntheticTask('synthetic', num_train=200, num_validation=50, max_length=64)\n"
        "task = tokenize(load_corpus(config), config, RandomModel('bert', vocab_size=300))\n"
        "print(int(task.train.token_ids.sum()), task.vocab_size)"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    outputs = [process.communicate()[0].strip() for process in processes]
    task = tokenize(load_corpus(SMALL), SMALL, BERT)
    assert outputs == [f"{task.train.token_ids.sum()} {task.vocab_size}"] * 3
    assert not list(Path(os.environ["WARMUP_LAB_CACHE"]).rglob("*.tmp"))


# ------------------------------------------------------------------------------------------------------ batches


@pytest.fixture
def three() -> Examples:
    """Three examples of 3, 5 and 2 tokens."""
    return Examples(
        token_ids=np.array([2, 10, 3, 2, 11, 3, 12, 3, 2, 3], dtype=np.int32),
        type_ids=np.array([0, 0, 0, 0, 0, 0, 1, 1, 0, 0], dtype=np.int8),
        offsets=np.array([0, 3, 8, 10]),
        labels=np.array([1, 0, 1]),
    )


def test_collate_by_hand(three):
    batch = collate(three, np.array([2, 0]), pad_id=9)
    assert batch["input_ids"].tolist() == [[2, 3, 9], [2, 10, 3]]
    assert batch["attention_mask"].tolist() == [[1, 1, 0], [1, 1, 1]]
    assert batch["token_type_ids"].tolist() == [[0, 0, 0], [0, 0, 0]]
    assert batch["labels"].tolist() == [1, 1]
    assert collate(three, np.array([1]), 9)["token_type_ids"].tolist() == [[0, 0, 0, 1, 1]]


def test_collate_equals_the_collator_of_transformers():
    from transformers import AutoTokenizer, DataCollatorWithPadding

    some = [text for (text,) in TEXTS if text]
    texts = list(zip(some, some[1:] + some[:1], strict=True))
    task = tokenize(corpus_of(*texts), SMALL, BERT)
    tokenizer = AutoTokenizer.from_pretrained(task.tokenizer_dir)
    indices = np.array([3, 0, 1])
    features = [
        {**tokenizer(*texts[i], truncation=True, max_length=64), "label": int(task.train.labels[i])} for i in indices
    ]
    with pytest.MonkeyPatch.context() as patch:  # the advice not to pad apart from tokenising is not for this test
        patch.setitem(tokenizer.deprecation_warnings, "Asking-to-pad-a-fast-tokenizer", True)
        expected = DataCollatorWithPadding(tokenizer)(features)
    batch = collate(task.train, indices, task.pad_id)
    assert set(batch) == set(expected)
    for name, tensor in batch.items():
        assert tensor.dtype == torch.int64
        assert torch.equal(tensor, expected[name]), name


def test_collate_is_fast():
    task = tokenize(load_corpus(SMALL), SMALL, BERT)
    indices = np.arange(32)
    seconds = []
    for _ in range(50):
        started = time.perf_counter()
        collate(task.train, indices, 0)
        seconds.append(time.perf_counter() - started)
    assert min(seconds) < 0.4e-3


def test_batches_for_evaluation_hold_every_example_once_and_little_padding(three):
    batches = list(iterate_batches(three, 2, 9))
    assert [batch["labels"].tolist() for batch in batches] == [[1, 1], [0]]
    assert [tuple(batch["input_ids"].shape) for batch in batches] == [(2, 3), (1, 5)]
    task = tokenize(load_corpus(SMALL), SMALL, BERT)
    batches = list(iterate_batches(task.validation, 16, 0))
    assert [len(batch["labels"]) for batch in batches] == [16, 16, 16, 2]
    assert sum(int(batch["attention_mask"].sum()) for batch in batches) == len(task.validation.token_ids)


def test_the_order_is_a_pure_function_of_seed_and_epoch():
    order = [np.concatenate(batch_indices(100, 32, seed, epoch)).tolist() for seed in (0, 1) for epoch in (0, 1)]
    assert all(sorted(indices) == list(range(100)) for indices in order)
    assert len(set(map(tuple, order))) == 4
    assert np.concatenate(batch_indices(100, 7, 1, 1)).tolist() == order[3]  # whatever the batch size
    assert [len(batch) for batch in batch_indices(100, 32, 0, 0)] == [32, 32, 32, 4]
    assert [batch.tolist() for batch in batch_indices(8, 3, 5, 2)] == [[6, 7, 0], [4, 2, 3], [1, 5]]


def test_label_entropy():
    def entropy(labels: list[int], num_classes: int) -> float:
        empty = np.zeros(0)
        return label_entropy(Examples(empty, empty, np.zeros(len(labels) + 1), np.array(labels)), num_classes)

    assert entropy([0, 1, 2, 3], 4) == pytest.approx(math.log(4))
    assert entropy([0, 0, 0, 1], 2) == pytest.approx(0.5623351446188083)  # -(3/4 ln 3/4 + 1/4 ln 1/4)
    assert entropy([1, 1], 3) == 0.0
