"""The functions for a user's own code, which `warmup_lab` exports.

- `schedule`: a schedule as torch's `LambdaLR`.
- `loss_trace`: oscillation of a list of losses.
- `table_columns`: the columns of a user's own table of runs; `factor`: the one whose values are compared; `own_table`:
  the table as `comparison` reads it.
- `table_comparison`: the comparison of such a table; `table_result`: its result; `wording`: its headline.
- `sweep_table`: the table of runs of a sweep's folder.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
