"""The figures of a report, one file a figure: a function computes a table, another draws it.

Figures: `failures`, `usable_lr`, `quality`, `oscillation` (with its details), `looks`, `learning_rate`, `traces`,
`probes`, `layers`, `lr_jitter`, and `schedule`, which `python -m warmup_lab.figures` draws. Shared parts: `layout`
(which arm goes into which panel and line), `over_warmup` (numbers over warmup length) and `column_charts` (their
charts), `seed_dots` (the value of every seed), `charts` (scales and axes), `palette` (colours, without Altair) and
`figure` (`Cell`, `Figure`, and how to save them).
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
