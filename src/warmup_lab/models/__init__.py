"""Models: how one is built or loaded, and its forward pass, padded or packed."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
