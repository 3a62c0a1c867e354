"""Dropout whose masks do not depend on which runs are stacked.

Whether an element is kept is a pure function of the run's seed, the update, the example, the dropout call and the
element's place in the example. So a run has the same masks in every group, at every padding and with every split into
micro-batches, and strategies with equal seeds share them. There is no generator whose state could differ.

The function is SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014): a
counter goes through a mix of shifts and multiplications. Each coordinate selects one number of a generator that starts
at the number selected by the coordinate before it. The arithmetic is of integers, so CPU and GPU have equal masks.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

_INCREMENT, _FIRST_FACTOR, _SECOND_FACTOR = (
    number - 2**64  # torch's integers are signed
    for number in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
)
_NUMBERS_AT_ONCE_CPU, _NUMBERS_AT_ONCE_GPU = 2**16, 2**24
"""Hashes per pass: on the CPU so few that they stay in the cache, on a GPU so many that kernel starts do not count."""


@dataclass(frozen=True)
class DropoutCall:
    """A call of dropout in a forward pass that drops something."""

    number: int
    """Among all calls of the pass, so that it does not depend on the rates of the others."""
    shape: tuple[int, ...]
    """Of the values of one example."""
    p: float
    """Probability of dropping an element."""


class _Dropout(TorchFunctionMode, ABC):
    """Inside the block, `F.dropout` and `nn.Dropout` are replaced, for one forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self._num_calls = 0

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is F.dropout:
            return self._dropout(*args, **kwargs or {})
        return func(*args, **kwargs or {})

    def _dropout(self, values: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
        number = self._num_calls
        self._num_calls += 1
        return self._replaced(values, number, p, inplace=inplace) if training and p != 0.0 else values

    @abstractmethod
    def _replaced(self, values: Tensor, number: int, p: float, *, inplace: bool) -> Tensor:
        """The result of a call that drops something."""


class NotedDropout(_Dropout):
    """Inside the block, dropout drops nothing. Its calls are in `calls`.

    Args:
        num_examples: of the batch.

    Raises:
        ValueError: dropout in place, or of a tensor whose first dimension is not the examples.
    """

    def __init__(self, num_examples: int) -> None:
        super().__init__()
        self._num_examples = num_examples
        self.calls: list[DropoutCall] = []

    def _replaced(self, values: Tensor, number: int, p: float, *, inplace: bool) -> Tensor:
        if inplace or values.ndim < 2 or len(values) != self._num_examples:
            what = f"{'in-place ' if inplace else ''}dropout of a tensor of shape {tuple(values.shape)}"
            raise ValueError(f"{what}: stacked runs need a copy, and examples as the first of its dimensions")
        self.calls.append(DropoutCall(number, tuple(values.shape[1:]), p))
        return values


class HashedDropout(_Dropout):
    """Inside the block, dropout keeps what the masks say.

    Args:
        calls: those that `NotedDropout` found in a pass over inputs of the same shape.
        masks: of these calls, from `hashed_masks`.

    Raises:
        ValueError: the pass has other calls than these, so the masks would not be its own.
    """

    def __init__(self, calls: Sequence[DropoutCall], masks: Sequence[Tensor]) -> None:
        super().__init__()
        self._noted = list(zip(calls, masks, strict=True))[::-1]

    def _replaced(self, values: Tensor, number: int, p: float, *, inplace: bool) -> Tensor:  # noqa: ARG002
        call = DropoutCall(number, tuple(values.shape[1:]), p)
        noted, keep = self._noted.pop() if self._noted else (None, values)
        if call != noted:
            raise ValueError(f"{call}, where an earlier pass over inputs of the same shape had {noted}")
        return torch.where(keep, values, 0.0).mul_(1.0 / (1.0 - p) if p < 1.0 else 0.0)

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        super().__exit__(kind, error, traceback)  # type: ignore[no-untyped-call]
        if kind is None and self._noted:
            missing = self._noted[-1][0]
            raise ValueError(f"{missing} is missing, which an earlier pass over inputs of the same shape had")


def hashed_masks(keys: Tensor, calls: Sequence[DropoutCall]) -> list[Tensor]:
    """The masks of these calls: bool, `(*keys.shape, *shape)` each.

    They are made before the pass, outside of `vmap`, and calls of one shape at once: on a GPU, and for small models on
    a CPU too, starting operations takes longer than their work.

    Args:
        keys: `(K, B)` from `example_keys`.
        calls: of the forward pass.
    """
    together: dict[tuple[tuple[int, ...], float], list[int]] = {}
    for place, call in enumerate(calls):
        together.setdefault((call.shape, call.p), []).append(place)
    # Made on the device and indexed by Python's integers: a list of numbers would have to be copied to it first.
    numbers = torch.arange(1 + max((call.number for call in calls), default=-1), device=keys.device)
    numbered = _numbers(keys, numbers.view(-1, *[1] * keys.ndim))
    masks = [keys] * len(calls)
    for (shape, p), places in together.items():
        keys_of_calls = torch.stack([numbered[calls[place].number] for place in places])
        for place, mask in zip(places, keep_mask(keys_of_calls, shape, p), strict=True):
            masks[place] = mask
    return masks


def example_keys(seeds: Tensor, examples: Tensor) -> Tensor:
    """Keys `(K, B)` of the examples in an update, int64, from the runs' seeds `(K,)` and the examples' indices."""
    return _numbers(seeds[:, None], examples)


@torch.no_grad()
def keep_mask(keys: Tensor, shape: Sequence[int], p: float) -> Tensor:
    """Which elements dropout keeps: bool, `(*keys.shape, *shape)`, each True with probability `1 - p`.

    A smaller `shape` gives the corner of the larger mask. `p` is rounded to a multiple of 2**-32.

    Args:
        keys: int64, any shape; equal keys give equal masks.
        shape: one dimension or more.
        p: probability of dropping an element, in [0, 1].
    """
    *outer, width = shape
    for size in outer:
        keys = _numbers(keys[..., None], torch.arange(size, device=keys.device))
    rows, columns = keys.reshape(-1, 1), torch.arange((width + 1) // 2, device=keys.device)
    keep = torch.empty((len(rows), 2 * len(columns)), dtype=torch.bool, device=keys.device)
    threshold = min(round(p * 2**32), 2**32 - 1) - 2**31
    numbers_at_once = _NUMBERS_AT_ONCE_CPU if keys.device.type == "cpu" else _NUMBERS_AT_ONCE_GPU
    at_once = max(1, numbers_at_once // max(1, len(columns)))
    for part, kept in zip(torch.split(rows, at_once), torch.split(keep, at_once), strict=True):
        halves = _numbers(part, columns).view(torch.int32)  # the lower 32 bits of a number come first
        torch.ge(halves, threshold, out=kept)
    return keep[:, :width].view(*keys.shape, width)


def _numbers(keys: Tensor, places: Tensor) -> Tensor:
    """The numbers at these places, from 0, of SplitMix64 generators that start at `keys`. Sums are modulo 2**64."""
    return _mixed(keys + (places + 1) * _INCREMENT)


def _mixed(numbers: Tensor) -> Tensor:
    """The output function of SplitMix64, in place."""
    shifted = torch.empty_like(numbers)
    for bits, factor in ((30, _FIRST_FACTOR), (27, _SECOND_FACTOR), (31, 1)):
        torch.bitwise_right_shift(numbers, bits, out=shifted)
        numbers.bitwise_xor_(shifted.bitwise_and_(2 ** (64 - bits) - 1))  # torch's shift copies the sign
        if factor != 1:
            numbers.mul_(factor)
    return numbers
