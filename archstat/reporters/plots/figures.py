"""What every picture shares: matplotlib on use, the file formats, colours, the same bytes twice."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from archstat.errors import MissingExtraError, OutputError
from archstat.files import check_writable

# Okabe and Ito's palette, told apart with any colour vision; its yellow is too pale for lines.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
# Beside the colour, so that series are told apart in greyscale, too.
LINES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
HATCHES = ("", "//", "..", "xx", "\\\\")

_METADATA: dict[str, dict[str, Any]] = {
    ".png": {"Software": None},
    ".svg": {"Date": None, "Creator": None},
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
_SIZED = re.compile(r"(?P<file>.+):(?P<width>\d+(\.\d+)?)(?P<unit>in|cm|mm|pt)")
_IN_AN_INCH = {"in": 1, "cm": 2.54, "mm": 25.4, "pt": 72.27}  # points as TeX has them
_LETTERS, _LEAST_LETTERS = 9.0, 6.0  # points
_STYLE = {
    "svg.hashsalt": "archstat",
    # Letters of an SVG stay text, to be searched and edited; no font is embedded, as in a PDF.
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "savefig.dpi": 160,
    "figure.constrained_layout.use": True,
}


def sized(path: str | Path) -> tuple[Path, float | None]:
    """The file and the width in inches of ``FILE:3.3in``, ``FILE:84mm`` or ``FILE:252pt``.

    Without a width, a picture has its own.

    Raises:
        OutputError: a width that no page has.
    """
    found = _SIZED.fullmatch(str(path))
    if found is None:
        return Path(path), None
    width = float(found["width"]) / _IN_AN_INCH[found["unit"]]
    if not 1 <= width <= 40:
        raise OutputError(f"{path}: a picture is 1in to 40in wide.")
    return Path(found["file"]), width


def check_plot_path(path: str | Path) -> Path:
    """The path of a picture, before any work: its suffix, its folder, and that matplotlib is there.

    Raises:
        OutputError: another suffix than .pdf, .svg or .png, or a file that cannot be written.
        MissingExtraError: matplotlib is absent.
    """
    path, _ = sized(path)
    if ":" in path.suffix:
        raise OutputError(f"{path}: a width is a number with in, cm, mm or pt, such as :84mm.")
    if path.suffix.lower() not in _METADATA:
        raise OutputError(
            f"{path}: the suffix {path.suffix!r} is not a picture format; use one of "
            f"{', '.join(sorted(_METADATA))}."
        )
    check_writable(path)
    _matplotlib()
    return path


@contextmanager
def drawing(path: str | Path, width: float, height: float) -> Iterator[Any]:
    """A figure of so many inches, written to the file when the block ends without an error.

    A width that stands behind the file's name takes the place of `width`. In a narrower picture
    letters shrink half as fast, to 6 points at least, and the height to two thirds at least.

    Raises:
        OutputError, MissingExtraError: see `check_plot_path`.
    """
    _, wanted = sized(path)
    path = check_plot_path(path)
    ratio, letters = (wanted or width) / width, _LETTERS
    if ratio < 1:
        letters = max(_LEAST_LETTERS, letters * ratio**0.5)
    width, height = width * ratio, height * max(ratio, 2 / 3)
    matplotlib, figure_type = _matplotlib()
    style = {**matplotlib.rcParamsDefault, **_STYLE, "font.size": letters}
    with matplotlib.rc_context(style):
        # A figure without pyplot: no window, no backend, nothing to close.
        figure = figure_type(figsize=(width, height))
        yield figure
        try:
            figure.savefig(path, metadata=_METADATA[path.suffix.lower()])
        except OSError as error:
            raise OutputError(f"{path} cannot be written: {error.strerror or error}.") from error


def _matplotlib() -> tuple[Any, Any]:
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError(
            f"a picture needs {error.name or 'matplotlib'}, which is not installed: "
            'python -m pip install "archstat[plots]"'
        ) from error
    return matplotlib, Figure
