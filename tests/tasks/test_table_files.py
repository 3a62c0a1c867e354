"""Tables from CSV, TSV, JSON Lines and Parquet files, and the errors about them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from task_files import files_task, tsv, write

from warmup_lab.config.errors import ConfigError
from warmup_lab.config.task_schema import FilesTask
from warmup_lab.tasks.sources import load_corpus
from warmup_lab.tasks.table_files import label_name, read_table, sorted_names


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
    corpus = load_corpus(files_task(path, path))
    assert corpus.train.texts == [(text,) for text in texts] * 2
    assert corpus.label_names == ("1", "2", "10")  # as numbers, not as strings
    assert corpus.train.labels.tolist() == corpus.validation.labels.tolist() == [0, 2, 1] * 2
    assert corpus.train.labels.dtype == np.int64


def test_tsv_is_read_without_quoting(tmp_path):
    rows = [('"Never', "a"), ('5" is all', "b"), ('he said "no"', "a"), ('""', "b")]
    corpus = load_corpus(files_task(tsv(tmp_path / "a.tsv", rows), tsv(tmp_path / "b.tsv", rows)))
    assert corpus.train.texts == [('"Never',), ('5" is all',), ('he said "no"',), ('""',)]


def test_csv_is_read_with_quoting(tmp_path):
    path = write(tmp_path / "a.csv", 'text,label\r\n"one, ""two""\nthree",a\r\nplain,b\r\n')
    assert read_table(path) == {"text": ['one, "two"\nthree', "plain"], "label": ["a", "b"]}


def test_a_long_field_is_read(tmp_path):
    path = write(tmp_path / "a.csv", f"text,label\n{'x' * 200_000},a\ny,b\n")
    assert len(read_table(path)["text"][0]) == 200_000


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_byte_order_mark_line_ends_blank_lines_and_unicode_separators(tmp_path, name):
    separator = "," if name.endswith("csv") else "\t"
    lines = ["\ufeff text {0}label ", "one\u2028more{0} a", "", "two\x0b\x85{0}b", ""]
    path = write(tmp_path / name, "\r\n".join(lines).format(separator))
    assert read_table(path) == {"text": ["one\u2028more", "two\x0b\x85"], "label": [" a", "b"]}
    assert load_corpus(files_task(path, path)).label_names == ("a", "b")


def test_text_columns_are_all_but_the_label_and_an_index(tmp_path):
    path = write(tmp_path / "a.csv", ",idx,premise,label,hypothesis\n0,7,p one,x,h one\n1,8,p two,y,h two\n")
    assert load_corpus(files_task(path, path)).train.texts == [("p one", "h one"), ("p two", "h two")]
    chosen = load_corpus(files_task(path, path, text_columns=["hypothesis"], label_column="idx"))
    assert chosen.train.texts == [("h one",), ("h two",)]
    assert chosen.label_names == ("7", "8")


@pytest.mark.parametrize(
    ("value", "name"),
    [("1", "1"), (1, "1"), (1.0, "1"), ("1.0", "1"), (" yes ", "yes"), ("01", "01"), (0.5, "0.5"), (-1, "-1"),
     (True, "True"), ("1.5.0", "1.5.0"), (None, ""), (math.nan, ""), ("  ", ""), ("nan", "nan")],
)  # fmt: skip
def test_label_names(value, name):
    assert label_name(value) == name


def test_label_names_sort_by_value_if_all_are_numbers():
    assert sorted_names({"10", "9", "-1", "0.5"}) == ("-1", "0.5", "9", "10")
    assert sorted_names({"10", "9", "b"}) == ("10", "9", "b")
    assert sorted_names({"nan", "1"}) == ("1", "nan")


TWO = "text\tlabel\none\ta\ntwo\tb\n"


WRONG = [  # train file, its content, validation file, its content, options, parts of the message
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
    ("a.json", '[{"text": "one", "label": 1}]\n', None, None, {}, ["line 1", "list", "one object {...}"]),
    ("a.jsonl", '{"text": "\\ud800", "label": 1}\n', None, None, {}, ["line 1", "surrogates"]),
    ("a.jsonl", '{"text": ["one"], "label": 1}\n', None, None, {}, ["'text'", "list"]),
    ("a.parquet", "PAR1", None, None, {}, ["a.parquet", "Parquet"]),
    ("a.tsv", TWO, None, None, {"label_column": "lable"}, ["'lable'", "did you mean 'label'", "Known: label, text"]),
    ("a.tsv", TWO, None, None, {"text_columns": ["Text"]}, ["type 'task.text_columns=[NAME]'; did you mean 'text'"]),
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
    ("a.tsv", TWO, "b.tsv", TWO, {"limit": 1}, ["same label", "task.limit"]),
    ("a.csv", "text,kind\n" + "".join(f"word {i},{i % 2}\n" for i in range(20)), None, None, {"label_column": "text"},
     ["'text' has 20 different values in 20 examples", "task.label_column=NAME", "Other columns: 'kind'"]),
]  # fmt: skip


@pytest.mark.parametrize(("train", "content", "validation", "other", "options", "parts"), WRONG)
def test_errors_name_the_file_the_fault_and_the_fix(tmp_path, train, content, validation, other, options, parts):  # noqa: PLR0913 - a column of WRONG each
    path = write(tmp_path / train, content)
    second = write(tmp_path / validation, other) if validation else None
    with pytest.raises(ConfigError) as caught:
        load_corpus(files_task(path, second, **options))
    message = str(caught.value)
    assert [part for part in parts if part not in message] == [], message
    assert len(message.splitlines()) <= 2


def test_missing_files_folders_and_other_encodings_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"needs task\.train_file="):
        load_corpus(FilesTask("files"))
    with pytest.raises(ConfigError, match=r"a\.tsv: there is no such file"):
        load_corpus(files_task(tmp_path / "a.tsv"))
    with pytest.raises(ConfigError, match="is a folder"):
        load_corpus(files_task(tmp_path))
    for encoding in ("latin-1", "utf-16"):
        (tmp_path / "b.csv").write_bytes("text,label\nschön,a\n".encode(encoding))
        with pytest.raises(ConfigError, match=r"not UTF-8 text \(byte 0x.. at position \d+\)"):
            load_corpus(files_task(tmp_path / "b.csv"))


def test_a_tilde_means_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    tsv(tmp_path / "a.tsv")
    assert len(load_corpus(files_task(Path("~/a.tsv"), Path("~/a.tsv"))).train) == 4
