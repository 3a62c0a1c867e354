"""The evaluation of `experiment=recommend`: ramps, a few learning rates, and a confirmation on other seeds.

`record` is the plan as stored beside the sweep. `ramp` finds the lr at which the loss breaks (`climb`) and the rates to
try, `choice` picks one, `confirmation` compares it with and without warmup, `failures` says why runs failed. `findings`
gathers these from the files of a sweep; the sweeper reads them too. `use` says which arm to use, `answer` makes the
recommendation, `sentences` and `stage_sentences` word it, `section` puts it together.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
