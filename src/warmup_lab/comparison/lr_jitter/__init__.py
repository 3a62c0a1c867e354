"""The learning rate at which the loss starts to jitter, and the advice that follows.

`onset` finds it on ramps, `survival` counts which constant rates around it runs survive, `gain` compares the usable lr
of warmed and cold runs, `advice` recommends an lr and a warmup. `climb` finds where the loss turned up on ramps without
a clear start of the jitter, and `progress` says what is known before all runs have ended. `sentences` words the result,
and `section` puts it together for `comparison.json`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
