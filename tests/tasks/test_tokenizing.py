"""Tokens equal those of transformers, vocabularies are reproducible, and both are cached."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from program import start
from task_files import BERT, SMALL, SYNTHETIC, TEXTS, corpus_of, same_examples, write

from warmup_lab.config.errors import ConfigError
from warmup_lab.config.model_schema import PretrainedModel, RandomModel
from warmup_lab.tasks import tokenizing
from warmup_lab.tasks.sources import load_corpus
from warmup_lab.tasks.tokenizing import learn_vocabulary, tokenize


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


def test_the_synthetic_corpus_as_a_task():
    corpus = load_corpus(SMALL)
    task = tokenize(corpus, SMALL, BERT)
    assert (len(task.train), len(task.validation)) == (200, 50)
    assert (task.train.token_ids.dtype, task.train.type_ids.dtype) == (np.int32, np.int8)
    assert (task.train.offsets.dtype, task.train.labels.dtype) == (np.int64, np.int64)
    assert task.train.offsets[-1] == len(task.train.token_ids) == len(task.train.type_ids)
    assert (task.train.labels == corpus.train.labels).all()
    assert task.train.token_ids.max() < task.vocab_size <= 300
    assert 1 not in task.train.token_ids  # every word of the training texts is known
    assert (task.pad_id, task.label_names, task.digest) == (0, ("negative", "positive"), corpus.digest)
    decoded = json.loads((task.tokenizer_dir / "tokenizer.json").read_text())["model"]["vocab"]
    assert [decoded[name] for name in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("vocab_size", [100, 101, 1000])
def test_the_vocabulary_has_at_most_the_requested_size(vocab_size):
    many_letters = ["".join(map(chr, range(0x4E00, 0x4E00 + 500))), "abc abc", "ABC Äbc"]
    pieces = learn_vocabulary(many_letters, vocab_size)
    assert len(pieces) <= vocab_size
    assert pieces[:5] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert {"a", "##b", "c"} <= set(pieces)  # the most frequent letters are kept


# ------------------------------------------------------------------------------------------ existing tokenizers


@pytest.fixture
def existing_tokenizer(tmp_path):
    """A folder with a tokenizer whose ids and padding token differ from those of a learned one."""
    words = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]", "the", "was", "##s", "film", "never"]
    folder = tmp_path / "existing"
    write(folder / "vocab.txt", "\n".join(words))
    write(folder / "tokenizer_config.json", '{"tokenizer_class": "BertTokenizer"}')
    write(folder / "config.json", '{"model_type": "bert"}')
    write(folder / "model.safetensors", "placeholder for weights")
    return folder


@pytest.mark.parametrize("kind", ["pretrained", "bert"])
def test_an_existing_tokenizer_is_used(existing_tokenizer, kind):
    path = str(existing_tokenizer)
    model = PretrainedModel(kind, path=path) if kind == "pretrained" else RandomModel(kind, tokenizer=path)
    task = tokenize(corpus_of(("The films was",), ("never x",)), SMALL, model)
    assert task.train.token_ids.tolist() == [1, 5, 8, 7, 6, 2, 1, 9, 0, 2]
    assert task.train.offsets.tolist() == [0, 6, 10]
    assert (task.pad_id, task.vocab_size) == (3, 10)
    assert reference(task.tokenizer_dir, [("The films was",)], 16)["input_ids"] == [[1, 5, 8, 7, 6, 2]]
    assert not list(task.tokenizer_dir.glob("*.safetensors"))


def test_padding_and_truncation_of_an_existing_tokenizer_are_ignored(tmp_path):
    """The tokenizer of all-MiniLM-L6-v2, for example, pads every text to 128 tokens."""
    import tokenizers

    corpus = corpus_of(("the film was never the film",), ("never",))
    plain = tokenize(corpus, SMALL, BERT)
    tokenizer = tokenizers.Tokenizer.from_file(str(plain.tokenizer_dir / "tokenizer.json"))
    tokenizer.enable_padding(length=32)
    tokenizer.enable_truncation(4)
    folder = plain.tokenizer_dir.rename(tmp_path / "padding")
    tokenizer.save(str(folder / "tokenizer.json"))
    assert same_examples(tokenize(corpus, SMALL, RandomModel("bert", tokenizer=str(folder))).train, plain.train)


def test_a_changed_tokenizer_is_read_again(existing_tokenizer):
    model = PretrainedModel("pretrained", path=str(existing_tokenizer))
    assert tokenize(corpus_of(("film",), ("never",)), SMALL, model).train.token_ids.tolist() == [1, 8, 2, 1, 9, 2]
    write(existing_tokenizer / "vocab.txt", "\n".join(["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]", "never", "film"]))
    assert tokenize(corpus_of(("film",), ("never",)), SMALL, model).train.token_ids.tolist() == [1, 6, 2, 1, 5, 2]


@pytest.mark.usefixtures("offline")
def test_a_tokenizer_that_cannot_be_loaded_is_refused(tmp_path, existing_tokenizer):
    corpus = corpus_of(("one",), ("two",))
    (existing_tokenizer / "vocab.txt").unlink()
    with pytest.raises(
        ConfigError, match=r"model\.path=.*existing has no tokenizer"
    ):  # transformers makes an empty one
        tokenize(corpus, SMALL, PretrainedModel("pretrained", path=str(existing_tokenizer)))
    with pytest.raises(ConfigError, match=r"there is no such folder, and a hub id looks like owner/name"):
        tokenize(corpus, SMALL, RandomModel("bert", tokenizer=str(tmp_path / "nowhere")))
    write(tmp_path / "odd" / "notes.txt", "no tokenizer")
    with pytest.raises(ConfigError, match=r"model\.tokenizer=.*odd gives no tokenizer"):
        tokenize(corpus, SMALL, RandomModel("bert", tokenizer=str(tmp_path / "odd")))
    started = time.perf_counter()
    with pytest.raises(ConfigError, match=r"model\.tokenizer=owner/name gives no tokenizer: .*cannot be reached"):
        tokenize(corpus, SMALL, RandomModel("bert", tokenizer="owner/name"))
    assert time.perf_counter() - started < 15


# --------------------------------------------------------------------------------------------- the cache on disk


def test_texts_are_tokenized_once(monkeypatch):
    corpus = load_corpus(SMALL)
    first = tokenize(corpus, SMALL, BERT)
    with monkeypatch.context() as patch:
        for name in ("_encode", "learn_vocabulary"):
            patch.setattr(tokenizing, name, lambda *_, **__: pytest.fail("computed again"))
        again = tokenize(corpus, SMALL, BERT)
        with pytest.raises(pytest.fail.Exception, match="computed again"):
            tokenize(corpus, replace(SMALL, max_length=9), BERT)
    assert same_examples(first.train, again.train)
    assert same_examples(first.validation, again.validation)
    assert (first.vocab_size, first.tokenizer_dir) == (again.vocab_size, again.tokenizer_dir)
    assert tokenize(corpus, replace(SMALL, max_length=9), BERT).train.lengths.max() == 9
    assert tokenize(corpus, SMALL, replace(BERT, vocab_size=120)).vocab_size <= 120


def damage(path: Path, how: str) -> None:
    content = bytearray(path.read_bytes())
    if how == "a flipped bit":
        content[len(content) // 2] ^= 1
    path.write_bytes({"cut": content[: len(content) // 2], "empty": b"", "noise": b"noise"}.get(how, bytes(content)))


@pytest.mark.parametrize("how", ["cut", "empty", "noise", "a flipped bit"])
def test_damaged_files_are_computed_again(tmp_path, how, caplog):
    corpus = load_corpus(SMALL)
    first = tokenize(corpus, SMALL, BERT)
    stored = {path: path.read_bytes() for path in (tmp_path / "cache").rglob("*") if path.is_file()}
    assert {path.suffix for path in stored} == {".npz", ".json", ".txt"}
    for path in stored:
        damage(path, how)
    again = tokenize(corpus, SMALL, BERT)
    assert same_examples(first.train, again.train)
    assert caplog.text.count("is damaged") == 2
    assert {path: path.read_bytes() for path in stored} == stored


def test_a_deleted_tokenizer_folder_is_written_again():
    corpus = load_corpus(SMALL)
    folder = tokenize(corpus, SMALL, BERT).tokenizer_dir
    for path in folder.iterdir():
        path.unlink()
    assert (tokenize(corpus, SMALL, BERT).tokenizer_dir / "tokenizer.json").is_file()


def test_a_cache_that_cannot_be_written_stops_no_run(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("WARMUP_LAB_CACHE", str(write(tmp_path / "file", "not a folder") / "cache"))
    corpus = load_corpus(SMALL)
    task = tokenize(corpus, SMALL, BERT)
    assert reference(task.tokenizer_dir, [("the film",)], 16)["input_ids"][0][0] == 2
    assert caplog.text.count("cannot write to the cache") == 1
    assert "WARMUP_LAB_CACHE" in caplog.text
    monkeypatch.setattr(tokenizing, "_encode", lambda *_, **__: pytest.fail("computed again"))
    assert same_examples(tokenize(corpus, SMALL, BERT).train, task.train)  # kept until the process ends
    assert (tmp_path / "file").read_text() == "not a folder"


def test_processes_that_fill_an_empty_cache_at_once_have_the_same_vocabulary():
    """The trainer alone gives another order in each process, and with ties other units."""
    code = (
        "from warmup_lab.config import RandomModel, SyntheticTask\n"
        "from warmup_lab.tasks import load_corpus, tokenize\n"
        "from warmup_lab.tasks.tokenizing import learn_vocabulary\n"
        "config = SyntheticTask('synthetic', num_train=200, num_validation=50, max_length=64)\n"
        "task = tokenize(load_corpus(config), config, RandomModel('bert', vocab_size=300))\n"
        "print(int(task.train.token_ids.sum()), task.vocab_size)\n"
        "texts = [text for (text,) in load_corpus(SyntheticTask('synthetic')).train.texts]\n"
        "print(*learn_vocabulary([*texts, *(text[::-1] for text in texts)], 600))"
    )
    environments = {"PYTHONHASHSEED": "1"}, {"TOKENIZERS_PARALLELISM": "false"}
    processes = [start([sys.executable, "-c", code], **environment) for environment in environments]
    texts = [text for (text,) in load_corpus(SYNTHETIC).train.texts]
    pieces = learn_vocabulary([*texts, *(text[::-1] for text in texts)], 600)
    assert len(pieces) == len(set(pieces)) == 600
    outputs = [process.communicate()[0].splitlines() for process in processes]
    task = tokenize(load_corpus(SMALL), SMALL, BERT)
    assert outputs == [[f"{task.train.token_ids.sum()} {task.vocab_size}", " ".join(pieces)]] * 2
    assert not list(Path(os.environ["WARMUP_LAB_CACHE"]).rglob("*.tmp"))
