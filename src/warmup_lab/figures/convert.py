"""Conversion of a Vega-Lite specification to SVG and PNG, of a large one in a process of its own.

The JavaScript engine of vl_convert keeps the memory that it once had: 760 MB after the figures of 10,000 runs.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

_MAX_PIXELS = 8e6
_DOTS = 300 / 96
"""Dots per CSS pixel, of which an inch has 96."""
_LARGE = 1_000_000
"""Characters of a specification from which a process pays: its start takes a second of CPU."""


def convert(spec: dict[str, Any]) -> tuple[str, bytes]:
    """The SVG and the PNG of a Vega-Lite specification. The PNG has 300 dots per inch, and at most 8 megapixels."""
    text = json.dumps(spec)
    if len(text) >= _LARGE:
        with tempfile.TemporaryDirectory() as folder:
            # -P: without it, `-m` imports modules from the working directory, which may be a downloaded folder.
            command = [sys.executable, "-P", "-m", __name__, folder]
            if subprocess.run(command, input=text.encode(), check=False).returncode == 0:
                return _read(Path(folder))
    return convert_here(spec)


def convert_here(spec: dict[str, Any]) -> tuple[str, bytes]:
    """`convert` in this process."""
    # Not as text: vl_convert reads some numbers of a text with an error in the last digit.
    import vl_convert

    svg = vl_convert.vegalite_to_svg(spec)
    width, height = (float(size) for size in re.findall(r'<svg[^>]* width="([\d.]+)" height="([\d.]+)"', svg)[0])
    return svg, vl_convert.svg_to_png(svg, scale=min(_DOTS, (_MAX_PIXELS / (width * height)) ** 0.5))


def _read(folder: Path) -> tuple[str, bytes]:
    return (folder / "picture.svg").read_text(encoding="utf-8"), (folder / "picture.png").read_bytes()


def main() -> None:
    """Converts the specification on standard input, and writes both pictures to the folder in the arguments."""
    folder = Path(sys.argv[1])
    svg, png = convert_here(json.load(sys.stdin.buffer))
    (folder / "picture.svg").write_text(svg, encoding="utf-8")
    (folder / "picture.png").write_bytes(png)


if __name__ == "__main__":
    main()
