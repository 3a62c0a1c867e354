"""Multiruns, from the cells of a sweep to its report.

`sweepers` connects Hydra's sweepers to `run`. `run` checks all cells, launches the runs that are missing and reports.
`cells`, `looks`, `lr_jitter_cells` and `recommend_search` generate the cells, and `budget` estimates the time of the
next look. `recommend_plan` fits the stages of a recommendation to its budget, `recommend_cells` makes their cells.
`cell_loader` composes the configurations of the cells, `jobs` holds the job list, and `progress` the progress line.
`launchers` runs jobs one by one or in groups, `fastest` picks the fastest launcher, and `slurm` and `ray`
submit groups to a cluster, where `worker` runs them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
