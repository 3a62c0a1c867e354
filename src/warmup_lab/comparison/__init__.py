"""What may be concluded from a sweep: its runs as a table, tests between arms, verdicts, and their sentences.

In the order of the data: `table` (a sweep's folder as a table of runs), `naming` (names of arms), `arms` (which arms
differ in one thing, and which is the reference), `run_table` (the table as arrays), `statistics` (tests on arrays),
`pairwise` (each arm against its reference: tests, families, verdicts), `verdicts` (the records of that), `selection`
(the smallest good warmup; arms at their own best lr), `sentences` and `summary` (the wording), `paired_metrics`,
and `build` (the content of `comparison.json`). `lr_jitter` evaluates `experiment=lr_jitter`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
