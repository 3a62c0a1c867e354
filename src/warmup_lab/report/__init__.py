"""The report of a sweep.

`build` writes its files (`results.parquet`, `comparison.json`, `figures/`, `report.html`), `page` renders the page from
`report.html.jinja`, `report.css` and `report.js`, and `terminal` the lines that are printed. `numbers` formats numbers
for both.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
