"""Tasks: texts, labels and batches.

`sources` reads the texts and labels of a task: sentences of a grammar (`synthetic`), the user's files (`table_files`),
or a data set of the Hugging Face hub (`hub`). `tokenizing` turns them into token ids, `batches` makes padded batches,
and `packing` makes batches with several examples in one row.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
