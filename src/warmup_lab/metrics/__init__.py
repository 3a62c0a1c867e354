"""Metrics as pure functions of arrays. They need numpy and pandas only.

- `series`: the series that the oscillation metrics share, such as running medians of a loss trace.
- `rises`: the test for a rise of the smoothed loss, behind the onset of jitter.
- `oscillation`: how much the loss of one run oscillates.
- `failures`: why a run failed to learn: unstable, too slow or stuck.
- `paired`: metrics that need a second run or a loss level.
- `classification`: F1 and the Matthews correlation.
- `names`: title, unit and direction of each metric.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
