"""Data sets of the Hugging Face hub and of local folders, with and without a network."""

from __future__ import annotations

import json
import logging
import socket
import time
from dataclasses import replace

import pytest
from task_files import write

from warmup_lab.config.errors import ConfigError
from warmup_lab.config.task_schema import HubTask
from warmup_lab.tasks.hub import hub_access
from warmup_lab.tasks.sources import load_corpus


@pytest.fixture
def hub_cache(tmp_path, monkeypatch):
    """Puts the cache of the `datasets` library into the test's folder."""
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
    """A folder of Parquet files whose labels are indices with names. The labels of the test split are hidden."""
    from datasets import ClassLabel, Dataset, Features, Value

    features = Features({"text": Value("string"), "count": Value("int64"), "label": ClassLabel(names=["yes", "no"])})
    for name, labels in (("train", [0, 1, -1, 1]), ("validation", [1, 0]), ("test", [-1, -1])):
        rows = {"text": [f"{name} {i}" for i in range(len(labels))], "count": labels, "label": labels}
        path = tmp_path / "set" / f"{name}.parquet"
        path.parent.mkdir(exist_ok=True)
        Dataset.from_dict(rows, features=features).to_parquet(path)
    return HubTask("hub", path=str(tmp_path / "set"))


def test_class_labels_keep_names_and_order_and_hidden_labels_are_left_out(class_labels, caplog):
    with caplog.at_level(logging.WARNING):
        corpus = load_corpus(class_labels)
    assert corpus.label_names == ("yes", "no")
    assert corpus.train.texts == [
        ("train 0",),
        ("train 1",),
        ("train 3",),
    ]  # the column of numbers is not a text column
    assert corpus.train.labels.tolist() == [0, 1, 1]
    assert corpus.validation.labels.tolist() == [1, 0]
    assert "left out 1 examples with a hidden label" in caplog.text


def test_a_split_with_hidden_labels_or_an_unknown_name_is_refused(class_labels):
    with pytest.raises(ConfigError, match="validation_split=test: the labels of this split are hidden"):
        load_corpus(replace(class_labels, validation_split="test"))
    with pytest.raises(ConfigError, match=r"Unknown split .dev.(.|\n)*task\.validation_split="):
        load_corpus(replace(class_labels, validation_split="dev"))


def test_both_splits_can_be_parts_of_one(class_labels):
    corpus = load_corpus(replace(class_labels, train_split="train[:50%]", validation_split="train[75%:]"))
    assert corpus.train.texts == [("train 0",), ("train 1",)]
    assert corpus.validation.texts == [("train 3",)]


@pytest.mark.usefixtures("hub_cache")
@pytest.mark.parametrize(
    "data_files",
    [
        "https://127.0.0.1:9/a.csv", "hf://datasets/owner/name/a.csv", "zip://a.csv::https://127.0.0.1:9/a.zip",
        "../elsewhere.csv", "sub/../../elsewhere.csv", "/etc/passwd", "C:\\elsewhere.csv", "~/a.csv",
        ["train.csv", "https://127.0.0.1:9/a.csv"], {"train": "https://127.0.0.1:9/a.csv"},
        [{"split": "train", "path": ["train.csv", "../elsewhere.csv"]}],
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["README.md", ".huggingface.yaml"])
def test_a_folder_whose_description_names_other_files_is_refused(tmp_path, monkeypatch, name, data_files):
    def refuse(*_args, **_options):
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    write(tmp_path / "set" / "train.csv", "text,label\na,good\nb,bad\n")
    fence = "---\n" if name == "README.md" else ""
    configs = {"configs": [{"config_name": "default", "data_files": data_files}]}
    write(tmp_path / "set" / name, f"{fence}{json.dumps(configs)}\n{fence}")
    with pytest.raises(ConfigError, match=rf"set/{name} names the data .*: only files of the folder itself are read"):
        load_corpus(HubTask("hub", path=str(tmp_path / "set")))


@pytest.mark.usefixtures("hub_cache")
def test_a_folder_whose_description_names_its_own_files_is_read(tmp_path):
    write(tmp_path / "set" / "parts" / "a.csv", "text,label\na,good\nb,bad\n")
    data_files = [{"split": "train", "path": "parts/*.csv"}, {"split": "validation", "path": ["parts/a.csv"]}]
    configs = {"configs": [{"config_name": "default", "data_files": data_files}]}
    write(tmp_path / "set" / "README.md", f"---\n{json.dumps(configs)}\n---\nSee https://example.org.\n")
    assert len(load_corpus(HubTask("hub", path=str(tmp_path / "set"))).train) == 2


@pytest.mark.usefixtures("hub_cache")
def test_a_loading_script_is_not_run(tmp_path):
    write(tmp_path / "set" / "train.csv", "text,label\na,good\nb,bad\n")
    write(tmp_path / "set" / "set.py", "raise SystemExit('a loading script ran')")
    with pytest.raises(ConfigError, match="Dataset scripts are no longer supported"):
        load_corpus(HubTask("hub", path=str(tmp_path / "set")))


@pytest.mark.usefixtures("hub_cache")
def test_a_label_that_the_library_would_open_is_refused(tmp_path):
    from datasets import Dataset, Features, Image, Value

    rows = {"text": ["a", "b"], "label": [{"path": "a.png", "bytes": b"no image"}] * 2}
    (tmp_path / "set").mkdir()
    for name in ("train", "validation"):
        data = Dataset.from_dict(rows, features=Features({"text": Value("string"), "label": Image()}))
        data.to_parquet(tmp_path / "set" / f"{name}.parquet")
    with pytest.raises(ConfigError, match="column 'label' holds Image, not texts or labels"):
        load_corpus(HubTask("hub", path=str(tmp_path / "set")))


@pytest.mark.usefixtures("hub_cache")
def test_a_folder_without_data_and_a_missing_path_are_refused(tmp_path):
    (tmp_path / "set").mkdir()
    with pytest.raises(ConfigError, match="this folder cannot be read as a data set"):
        load_corpus(HubTask("hub", path=str(tmp_path / "set")))
    with pytest.raises(ConfigError, match=r"task\.path=\./nowhere: there is no such folder"):
        load_corpus(HubTask("hub", path="./nowhere"))
    with pytest.raises(ConfigError, match=r"task=hub needs task\.path"):
        load_corpus(HubTask("hub"))


@pytest.mark.usefixtures("offline", "hub_cache")
def test_without_a_network_the_error_comes_soon_and_names_both_ways(monkeypatch, tmp_path):
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
def test_without_a_network_earlier_downloads_are_used(tmp_path):
    import datasets

    for name in ("train", "validation"):
        write(tmp_path / "set" / f"{name}.csv", f"text,label\n{name} one,good\n{name} two,bad\n")
    datasets.load_dataset(str(tmp_path / "set"))
    (made,) = (
        tmp_path / "hub" / "set"
    ).iterdir()  # renamed to the cache folder of the data set owner/set, configuration tiny
    downloads = (tmp_path / "hub" / "set").rename(tmp_path / "hub" / "owner___set")
    folder = (downloads / made.name).rename(downloads / "tiny")
    (info,) = folder.rglob("dataset_info.json")
    info.write_text(info.read_text().replace('"config_name": "default"', '"config_name": "tiny"'))
    corpus = load_corpus(HubTask("hub", path="owner/set", name="tiny"))
    assert corpus.validation.texts == [("validation one",), ("validation two",)]


@pytest.mark.usefixtures("offline")
def test_the_hub_is_offline_only_inside_the_block():
    from huggingface_hub import constants

    assert not constants.HF_HUB_OFFLINE
    with hub_access() as online:
        assert not online
        assert constants.HF_HUB_OFFLINE
    assert not constants.HF_HUB_OFFLINE
