"""Tasks: where texts and labels come from, how they are tokenized, and how batches are made."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
