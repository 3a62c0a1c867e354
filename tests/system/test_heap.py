"""Giving memory back to the operating system."""

import ctypes
import sys

import psutil
import pytest

from warmup_lab.system.heap import release_memory


@pytest.mark.skipif(sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="needs glibc")
def test_memory_of_many_small_objects_is_given_back():
    """64 MB in blocks of 8 kB, below a block that stays, which keeps the C library from returning them by itself."""
    libc, process = ctypes.CDLL(None), psutil.Process()
    libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    blocks = [libc.malloc(8192) for _ in range(8192)]
    for block in blocks:
        ctypes.memset(block, 1, 8192)
    last = libc.malloc(8192)
    for block in blocks:
        libc.free(block)
    before = process.memory_info().rss
    release_memory()
    assert before - process.memory_info().rss > 48e6
    libc.free(last)


def test_other_systems_do_nothing(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(ctypes, "CDLL", None)
    release_memory()
