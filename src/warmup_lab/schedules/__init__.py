"""Learning-rate schedules: pure functions from the index of an update to learning rate / peak learning rate.

- `shapes`: warmup shapes and decay shapes, functions of the progress through a phase.
- `warmups`: ramps, warmups whose length follows from beta2, and the composition of a warmup with a decay.
- `decays`: schedules with one decay after the warmup, such as `warmuplinear` and `warmupcosine`.
- `min_lr`: schedules that decay to a minimum learning rate above 0.
- `multiphase`: warmup-stable-decay and the one-cycle policy.
- `registry`: the names of the schedules, and the schedule that a configuration describes.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
