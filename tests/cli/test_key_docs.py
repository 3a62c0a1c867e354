"""What keys mean: docstrings of fields, and entries under Args."""

from dataclasses import dataclass

import pytest

from warmup_lab.cli.key_docs import argument_docs, field_docs, group_docs
from warmup_lab.cli.keys import option_values
from warmup_lab.config import GROUPS


@dataclass
class Base:
    lr: float
    """Peak learning rate."""


@dataclass
class Derived(Base):
    """The class itself."""

    eps: float = 1e-8
    """Added to the root.

    Null means `none`.
    """
    undocumented: int = 0


def test_fields_have_their_docstrings_and_those_of_base_classes():
    assert field_docs(Derived) == {"lr": "Peak learning rate.", "eps": "Added to the root. Null means `none`."}


ADAM = """Adam.

    Args:
        lr: Peak learning rate.
        betas: Decay of both
            moments. Default: (0.9, 0.999).
        eps: Added to the root. Default: 1e-8.
        margin: A bound. Default: no bound.

    Source: a paper. lr: not an entry.

    Raises:
        ValueError: never.
    """


def test_arguments_are_read_without_their_default_values():
    assert argument_docs(ADAM) == {
        "lr": "Peak learning rate.",
        "betas": "Decay of both moments.",
        "eps": "Added to the root.",
        "margin": "A bound. Default: no bound.",
    }
    assert argument_docs("No arguments.") == {}


@pytest.mark.parametrize("group", GROUPS)
def test_every_key_of_every_option_is_explained(group):
    docs = group_docs(group)
    for option, values in option_values(group).items():
        for key in values:
            texts = [text for text, options in docs[key].items() if option in options]
            assert len(texts) == 1, (option, key)
            assert texts[0].endswith("."), texts[0]


def test_a_key_may_mean_different_things():
    meanings = group_docs("scheduler")["num_cycles"]
    assert sorted(map(len, meanings.values())) == [2, 4]
    assert {"cosine_with_restarts", "warmupcosinewithhardrestarts"} in map(set, meanings.values())
