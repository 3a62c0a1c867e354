"""Corpora: label noise, splits, limits, digests, and what is cached."""

from __future__ import annotations

import logging
import os
import re
import time
from dataclasses import replace

import numpy as np
import pytest
from program import python
from task_files import ROWS, SMALL, SYNTHETIC, corpus_of, files_task, tsv, write

from warmup_lab.config.errors import ConfigError
from warmup_lab.config.task_schema import FilesTask, HubTask
from warmup_lab.tasks.batches import batch_indices
from warmup_lab.tasks.sources import load_corpus

DATA = os.environ.get("WARMUP_LAB_DATA")  # read before conftest.py removes it
needs_data = pytest.mark.skipif(DATA is None, reason="set WARMUP_LAB_DATA to a folder with sst2, rte and trec")
LOAD = "from warmup_lab.config import SyntheticTask; from warmup_lab.tasks import load_corpus"


# ---------------------------------------------------------------------------------------------- synthetic texts


def test_label_noise_flips_the_stated_share_of_the_training_labels_only():
    clean, noisy = (load_corpus(replace(SYNTHETIC, label_noise=noise)) for noise in (0.0, 0.05))
    assert clean.train.texts == noisy.train.texts
    assert (clean.train.labels != noisy.train.labels).sum() == 191  # 5 % of 3821
    assert (clean.validation.labels == noisy.validation.labels).all()


def test_flipped_labels_are_spread_over_an_epoch_if_the_seeds_are_equal():
    """When one stream drew both, the first 191 examples of the second epoch were exactly the flipped ones."""
    clean, noisy = (load_corpus(replace(SYNTHETIC, label_noise=noise)) for noise in (0.0, 0.05))
    flipped = clean.train.labels != noisy.train.labels
    for epoch in range(20):
        first = np.concatenate(batch_indices(3821, 32, 0, epoch))[:191]
        assert flipped[first].sum() < 25  # 9.5 are expected


def test_validation_does_not_depend_on_the_number_of_training_sentences():
    few, many = (load_corpus(replace(SMALL, num_train=num)) for num in (100, 300))
    assert few.validation.texts == many.validation.texts
    assert few.train.texts == many.train.texts[:100]


def test_another_data_seed_gives_another_corpus():
    one, other = load_corpus(SMALL), load_corpus(replace(SMALL, data_seed=1))
    assert one.digest != other.digest
    assert len(set(one.train.texts) & set(other.train.texts)) < 10


@pytest.mark.parametrize("hash_seed", ["0", "1"])
def test_the_synthetic_corpus_is_the_same_in_every_process(hash_seed):
    code = f"{LOAD}; print(load_corpus(SyntheticTask('synthetic')).digest)"
    assert python(code, PYTHONHASHSEED=hash_seed) == "4364ee4f4eb1b9072ed63fa641a3a95fae1cbb38c0b4203e30527e56f8ac61ad"


def test_loading_texts_imports_no_heavy_library():
    code = f"import sys; {LOAD}; load_corpus(SyntheticTask('synthetic')); print(*sys.modules)"
    assert not {"torch", "transformers", "datasets", "pandas", "pyarrow"} & set(python(code).split())


# ------------------------------------------------------------------------------- empty texts, splits and limits


def test_empty_texts_are_left_out_counted_and_logged(tmp_path, caplog):
    path = tsv(tmp_path / "a.tsv", [*ROWS, ("", "good"), ("  ", "bad"), ("", "")])
    with caplog.at_level(logging.WARNING):
        corpus = load_corpus(files_task(path, path))
    assert len(corpus.train) == len(corpus.validation) == 4
    assert corpus.num_left_out == 6
    assert "left out 6 examples" in caplog.text


def test_a_pair_with_one_empty_text_is_kept(tmp_path):
    path = tsv(tmp_path / "a.tsv", [("one", "", "x"), ("", "two", "y"), ("", "", "x")], header="a\tb\tlabel")
    corpus = load_corpus(files_task(path, path))
    assert corpus.train.texts == [("one", ""), ("", "two")]


def test_the_split_into_training_and_validation_is_stratified_and_seeded(tmp_path):
    rows = [(f"text {i}", "rare" if i % 10 == 0 else "often") for i in range(200)]
    path = tsv(tmp_path / "a.tsv", rows)
    corpus, same = load_corpus(files_task(path)), load_corpus(files_task(path, id="same"))
    assert (len(corpus.train), len(corpus.validation)) == (180, 20)
    assert corpus.label_names == ("often", "rare")
    assert (corpus.train.labels.sum(), corpus.validation.labels.sum()) == (18, 2)
    assert set(corpus.train.texts) | set(corpus.validation.texts) == {(text,) for text, _ in rows}
    assert corpus is not same
    assert corpus.digest == same.digest
    assert load_corpus(files_task(path, data_seed=1)).digest != corpus.digest


def test_a_label_with_one_example_stays_in_training(tmp_path):
    rows = [*((f"text {i}", "often") for i in range(10)), ("alone", "once")]
    corpus = load_corpus(files_task(tsv(tmp_path / "a.tsv", rows), validation_share=0.9))
    assert ("alone",) in corpus.train.texts
    assert (len(corpus.train), len(corpus.validation)) == (2, 9)


def test_limit_takes_a_random_subset_that_depends_on_the_data_seed_only():
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


def test_labels_keep_their_index_if_a_limit_removes_one(tmp_path):
    rows = [(f"text {i}", "zebra" if i else "aardvark") for i in range(50)] + [(f"more {i}", "yak") for i in range(50)]
    path = tsv(tmp_path / "a.tsv", rows)
    corpus = load_corpus(files_task(path, path, limit=10))
    assert corpus.label_names == ("aardvark", "yak", "zebra")
    assert set(corpus.train.labels.tolist()) == {1, 2}


# ------------------------------------------------------------------------------------------ digests and caching


def test_the_digest_depends_on_the_content_only(tmp_path):
    first, second = tsv(tmp_path / "a.tsv"), write(tmp_path / "deep" / "b.csv", "label,words\n")
    second.write_text("label,words\n" + "".join(f"{label},{text}\n" for text, label in ROWS))
    digest = load_corpus(files_task(first, first)).digest
    assert re.fullmatch("[0-9a-f]{64}", digest)
    assert load_corpus(files_task(second, second)).digest == digest
    changes = [(0, ("a fine film ", "good")), (1, ("a dull film", "awful"))]
    for number, row in changes:
        changed = tsv(tmp_path / "c.tsv", [*ROWS[:number], row, *ROWS[number + 1 :]])
        assert load_corpus(files_task(changed, changed)).digest != digest
    one, two = corpus_of(("ab", "c"), ("d", "e")), corpus_of(("a", "bc"), ("d", "e"))
    assert one.digest != two.digest


def test_a_corpus_is_read_again_only_if_its_file_changed(tmp_path):
    path = tsv(tmp_path / "a.tsv")
    first = load_corpus(files_task(path, path))
    assert load_corpus(files_task(path, path)) is first
    tsv(path, [*ROWS, ("one more", "good")])
    assert len(load_corpus(files_task(path, path)).train) == 5


def test_an_unknown_kind_gets_a_suggestion():
    with pytest.raises(ConfigError, match=r"unknown task\.kind 'fils'; did you mean 'files'"):
        load_corpus(FilesTask("fils"))


# --------------------------------------------------------------------------------------- WARMUP_LAB_DATA folders


def test_a_hub_task_is_read_from_the_folder_in_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("WARMUP_LAB_DATA", str(tmp_path))
    tsv(tmp_path / "mine" / "train.tsv")
    tsv(tmp_path / "mine" / "validation.tsv", ROWS[:2])
    hub = HubTask("hub", id="mine", path="owner/name", text_columns=["sentence"], label_column="coarse_label")
    corpus = load_corpus(hub)  # these files do not have the hub's column names
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
def test_real_data_is_read_completely_and_fast(name, train, validation, labels, monkeypatch):
    monkeypatch.setenv("WARMUP_LAB_DATA", str(DATA))
    started = time.perf_counter()
    corpus = load_corpus(HubTask("hub", id=name))
    assert time.perf_counter() - started < 2
    assert (len(corpus.train), len(corpus.validation)) == (train, validation)
    assert corpus.label_names == labels
    assert sum('"' in "".join(row) for row in corpus.train.texts) == (454 if name == "rte" else 0)
