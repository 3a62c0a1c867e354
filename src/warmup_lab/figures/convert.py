"""Conversion of a Vega-Lite specification to SVG and PNG, of a large one in processes of its own.

The JavaScript engine of vl_convert keeps the memory that it once had: 760 MB after the figures of 10,000 runs. So a
large SVG is made in one process, and its PNG, which needs no engine, in the next.
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
            if all(
                subprocess.run([*command, step], input=content, check=False).returncode == 0
                for step, content in (("svg", text.encode()), ("png", b""))
            ):
                return _read(Path(folder))
    return convert_here(spec)


def convert_here(spec: dict[str, Any]) -> tuple[str, bytes]:
    """`convert` in this process."""
    svg = _svg(spec)
    return svg, _png(svg)


def _svg(spec: dict[str, Any]) -> str:
    # Not as text: vl_convert reads some numbers of a text with an error in the last digit.
    import vl_convert

    svg: str = vl_convert.vegalite_to_svg(spec)
    return svg


def _png(svg: str) -> bytes:
    import vl_convert

    width, height = (float(size) for size in re.findall(r'<svg[^>]* width="([\d.]+)" height="([\d.]+)"', svg)[0])
    png: bytes = vl_convert.svg_to_png(svg, scale=min(_DOTS, (_MAX_PIXELS / (width * height)) ** 0.5))
    return png


def _read(folder: Path) -> tuple[str, bytes]:
    return (folder / "picture.svg").read_text(encoding="utf-8"), (folder / "picture.png").read_bytes()


def main() -> None:
    """Writes the SVG of the specification on standard input to the folder in the arguments, or the PNG of that SVG."""
    folder, step = Path(sys.argv[1]), sys.argv[2]
    svg = folder / "picture.svg"
    if step == "svg":
        svg.write_text(_svg(json.load(sys.stdin.buffer)), encoding="utf-8")
    else:
        (folder / "picture.png").write_bytes(_png(svg.read_text(encoding="utf-8")))


if __name__ == "__main__":
    main()
