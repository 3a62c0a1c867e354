"""Optimizers by name. The training loop sets the learning rate of each group before each update; it may be 0.

- `groups`: parameter groups; which weights decay, and which are hidden matrices.
- `factories`: optimizers of torch and of other packages.
- `adam_variants`: BERT's AdamW and GI-Adam.
- `lamb`: LAMB.
- `muon`: Muon for hidden matrices, with AdamW for the rest.
- `registry`: the names, the check of the options, and the optimizer of a configuration.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
