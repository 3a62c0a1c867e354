"""What may be concluded from a sweep: its runs as a table, tests between arms, verdicts, and their sentences.

In the order of the data:

- `table`: a sweep's folder as a table of runs; `run_table`: that table as arrays; `paired_metrics`: metrics against the
  reference's run of the same seed.
- `arms`: which arms differ in one thing only, and which one is the reference; `naming`: every name of an arm.
- `statistics`: tests and intervals on arrays; `trends`, `lr_range`, `families` and `sequential`: trend tests, usable
  learning rates, families that share one error, and planned looks.
- `pairwise`: each arm against its reference; `selection`: the smallest good warmup, and arms at their own best lr;
  `verdicts`: the question and the records of the answer.
- `sentences` and `summary`: the wording; `build`: the content of `comparison.json`, with its `rows` and `sections`.

`lr_jitter` evaluates `experiment=lr_jitter`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
