"""The heap of this process."""

from __future__ import annotations

import ctypes
import sys


def release_memory() -> None:
    """Returns free memory to the operating system, as far as it allows that.

    The C library of Linux (glibc) keeps the memory of many small objects for later ones. Call this after large data
    are gone and before another process needs memory.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
        if trim is not None:
            trim(0)
