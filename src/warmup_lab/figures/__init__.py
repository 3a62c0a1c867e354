"""Figures: numbers in a function that returns a table, drawing in another, one file a figure."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
