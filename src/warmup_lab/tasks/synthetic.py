"""Sentences of a small grammar with a positive or negative sentiment that a bag of words cannot predict.

The main clause describes a noun ("the hotel by the river was not dull"), and `not` or `never` flips its sentiment.
Three sentences in ten also have a distractor before or after the main clause. It describes another noun, with a random
sentiment ("although their soup felt really great", "unlike that great soup"). A classifier has to find the adjective of
the main clause and apply the negation to it. A small transformer stays at chance for some dozens of updates, and then
learns.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

NEGATED_SHARE = 0.3
"""Share of main clauses with a negation. Closer to 1/2, the adjective alone says less, and learning starts later."""
DISTRACTOR_SHARE = 0.3
"""Share of sentences with a distractor. The others have a neutral phrase in its place."""

_DETERMINERS = ("the", "this", "that", "our", "their", "her")
_NOUNS = (
    *("film", "book", "meal", "hotel", "concert", "lecture", "museum", "garden", "train", "phone", "jacket"),
    *("song", "play", "market", "beach", "bakery", "course", "podcast", "game", "novel", "soup", "camera"),
)
_PLACES = (
    *("in the old town", "near the station", "by the river", "from last year"),
    *("on the corner", "of our neighbours", "across the street", "for the children"),
)
_VERBS = ("was", "seemed", "felt", "looked", "proved", "remained")
_NEGATIONS = ("not", "never")
_EMPHASES = ("really", "truly", "certainly", "quite")
_ADJECTIVES = (
    ("bad", "awful", "dreadful", "poor", "boring", "terrible", "unpleasant", "dull", "miserable", "horrible"),
    ("good", "great", "lovely", "superb", "pleasant", "charming", "excellent", "delightful", "splendid", "fine"),
)
_LINKS = ("although", "even though", "while", "whereas")
_PREPOSITIONS = ("despite", "unlike", "besides", "like")
_ASIDES = (
    *("on a rainy evening", "as far as i recall", "when we came back", "after the long drive"),
    *("before the holidays", "during the second week", "according to my sister", "in the end"),
)
_NUM_DRAWS = 16  # random numbers per sentence; each has a fixed meaning, and some stay unused


def sentences(num: int, rng: np.random.Generator) -> tuple[list[str], NDArray[np.int64]]:
    """`num` distinct sentences, and their sentiments `(num,)`: 0 negative, 1 positive."""
    found: dict[str, int] = {}
    while len(found) < num:
        for draws in rng.random((num, _NUM_DRAWS)).tolist():
            text, sentiment = _sentence(draws)
            found.setdefault(text, sentiment)
    texts = list(found)[:num]
    return texts, np.array([found[text] for text in texts], dtype=np.int64)


def _sentence(draws: list[float]) -> tuple[str, int]:
    sentiment = int(draws[0] < 0.5)
    negated = draws[1] < NEGATED_SHARE
    place = f" {_pick(_PLACES, 2 * draws[3] - 1)}" if draws[3] >= 0.5 else ""
    main = _clause(draws[4:8], place, _NEGATIONS if negated else _EMPHASES, sentiment ^ negated, draws[8])
    aside = _distractor(draws[9:15]) if draws[2] < DISTRACTOR_SHARE else _pick(_ASIDES, draws[9])
    return (f"{main} {aside}" if draws[15] < 0.5 else f"{aside} , {main}"), sentiment


def _distractor(draws: list[float]) -> str:
    polarity, adjective = int(draws[5] < 0.5), 2 * draws[5] % 1
    if draws[0] < 0.5:
        return f"{_pick(_LINKS, 2 * draws[0])} {_clause(draws[1:5], '', _EMPHASES, polarity, adjective)}"
    preposition, determiner, noun = map(_pick, (_PREPOSITIONS, _DETERMINERS, _NOUNS), (2 * draws[0] - 1, *draws[1:3]))
    return f"{preposition} {determiner} {_pick(_ADJECTIVES[polarity], adjective)} {noun}"


def _clause(draws: list[float], place: str, adverbs: tuple[str, ...], polarity: int, adjective: float) -> str:
    determiner, noun, verb, adverb = map(_pick, (_DETERMINERS, _NOUNS, _VERBS, adverbs), draws)
    return f"{determiner} {noun}{place} {verb} {adverb} {_pick(_ADJECTIVES[polarity], adjective)}"


def _pick(words: tuple[str, ...], draw: float) -> str:
    return words[int(draw * len(words))]
