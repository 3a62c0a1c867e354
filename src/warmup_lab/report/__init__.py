"""The report of a sweep.

`build` writes its files (`results.parquet`, `comparison.json`, `figures/`, `report.html`), `page` renders the page from
`report.html.jinja`, `report.css` and `report.js`, `first_figure` chooses the figure at its top, `terminal` has the
lines that are printed, and `summary_run` the numbers for Weights & Biases. `numbers` formats numbers.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
