"""A small pretrained encoder."""

from __future__ import annotations

from pathlib import Path

import pytest
from classifiers import TINY_BERT
from transformers import BertConfig, BertModel


@pytest.fixture(scope="session")
def bert_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder without a head, as Google's BERT and sentence-transformers models are published."""
    folder = tmp_path_factory.mktemp("pretrained") / "bert"
    BertModel(BertConfig(**TINY_BERT, max_position_embeddings=32)).save_pretrained(folder)
    return folder
