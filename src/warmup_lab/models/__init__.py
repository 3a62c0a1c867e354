"""Models: `build` makes the classifier of a run, `pretrained` loads its encoder from a folder or the hub, `forward` has
the forward pass and the loss, and `packed_forward` the forward pass over packed batches."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
