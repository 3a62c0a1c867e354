"""The synthetic sentences: their labels are right, and a bag of words cannot predict them."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from task_files import SYNTHETIC

from warmup_lab.tasks.sources import load_corpus

NEGATIVE = {"bad", "awful", "dreadful", "poor", "boring", "terrible", "unpleasant", "dull", "miserable", "horrible"}


POSITIVE = {"good", "great", "lovely", "superb", "pleasant", "charming", "excellent", "delightful", "splendid", "fine"}


def read_sentence(text: str) -> int:
    """The sentiment, found with regular expressions instead of the grammar."""
    link = r"although|even though|while|whereas"
    main = re.sub(rf"^({link}|despite|unlike|besides|like) [^,]* , ", "", text)
    main = re.sub(rf" ({link}) .*$| (despite|unlike|besides|like) \w+ \w+ \w+$", "", main)
    (adjective,) = [word for word in main.split() if word in NEGATIVE | POSITIVE]
    return (adjective in POSITIVE) ^ bool(re.search(rf"\b(not|never) {adjective}\b", main))


def test_sentences_are_distinct_balanced_and_of_moderate_length():
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


def test_labels_agree_with_an_independent_reading():
    corpus = load_corpus(replace(SYNTHETIC, label_noise=0.0))
    for split in (corpus.train, corpus.validation):
        assert [read_sentence(text) for (text,) in split.texts] == split.labels.tolist()


def test_stated_shares_of_sentences_have_negations_and_distractors():
    texts = [text for (text,) in load_corpus(SYNTHETIC).train.texts]
    negated = np.mean([bool(re.search(r"\b(not|never)\b", text)) for text in texts])
    distracted = np.mean([sum(word in NEGATIVE | POSITIVE for word in text.split()) == 2 for text in texts])
    assert negated == pytest.approx(0.3, abs=0.03)
    assert distracted == pytest.approx(0.3, abs=0.03)


def test_a_bag_of_words_does_not_solve_the_task():
    corpus = load_corpus(replace(SYNTHETIC, label_noise=0.0))
    words = sorted({word for (text,) in corpus.train.texts for word in text.split()})
    train, validation = (
        np.array([[1.0] + [word in set(text.split()) for word in words] for (text,) in split.texts])
        for split in (corpus.train, corpus.validation)
    )
    weights = np.linalg.lstsq(train, 2.0 * corpus.train.labels - 1, rcond=None)[0]
    accuracy = ((validation @ weights > 0) == corpus.validation.labels).mean()
    assert 0.55 < accuracy < 0.75
