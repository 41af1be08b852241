"""What every picture shares: matplotlib on use, the file formats, colours, the same bytes twice."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from archstat.errors import MissingExtraError, OutputError

# Okabe and Ito's palette, told apart with any colour vision; its yellow is too pale for lines.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LINES = ("-", "--", "-.", ":")

_METADATA: dict[str, dict[str, Any]] = {
    ".png": {"Software": None},
    ".svg": {"Date": None, "Creator": None},
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}
_STYLE = {
    "svg.hashsalt": "archstat",
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
    "font.size": 9,
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


def check_plot_path(path: str | Path) -> Path:
    """The path of a picture, before any work: its suffix, its folder, and that matplotlib is there.

    Raises:
        OutputError: another suffix than .pdf, .svg or .png, or a file that cannot be written.
        MissingExtraError: matplotlib is absent.
    """
    path = Path(path)
    if path.suffix.lower() not in _METADATA:
        raise OutputError(
            f"{path}: the suffix {path.suffix!r} is not a picture format; use one of "
            f"{', '.join(sorted(_METADATA))}."
        )
    if path.is_dir():
        raise OutputError(f"{path} is a folder; name a file.")
    if not path.parent.is_dir():
        raise OutputError(f"{path} cannot be written: there is no folder {path.parent}.")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise OutputError(f"{path} cannot be written: permission denied.")
    _matplotlib()
    return path


@contextmanager
def drawing(path: str | Path, width: float, height: float) -> Iterator[Any]:
    """A figure of so many inches, written to the file when the block ends without an error.

    Raises:
        OutputError, MissingExtraError: see `check_plot_path`.
    """
    path = check_plot_path(path)
    matplotlib, figure_type = _matplotlib()
    with matplotlib.rc_context({**matplotlib.rcParamsDefault, **_STYLE}):
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
