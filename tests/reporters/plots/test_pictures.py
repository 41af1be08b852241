"""What all pictures share, asserted of each."""

from __future__ import annotations

import builtins
import subprocess
import sys

import pytest

from archstat.errors import MissingExtraError, OutputError
from archstat.reporters.plots import (
    FieldRectangle,
    FieldSeries,
    HeatMap,
    check_plot_path,
    plot_effective_field,
    plot_field_by_depth,
    plot_field_on_input,
)

SERIES = FieldSeries("net", ("a", "b", "c"), (3, 7, None), (1, 2, None), 32)
LONG = FieldSeries("long", ("x",) * 90, tuple(range(3, 93)), (2,) * 90, 64)
RECTANGLE = FieldRectangle("net", "c", (32, 48), (1, 2), (0, 4), (6, 14), ((-3, 4), (6, 14)))
LINE = FieldRectangle("wave", "c", (100,), (1,), (4,), (14,))
DENSITY = ((0.0, 0.5, 0.0), (0.5, 1.0, 0.5), (0.0, 0.5, 0.0))
HEAT = HeatMap("net", "c", DENSITY, (1.0, 1.0), (0, 0, 2, 2), {0.2: 1, 0.99: 3})

PICTURES = {
    "one network by depth": lambda path: plot_field_by_depth([SERIES], path),
    "two networks by depth": lambda path: plot_field_by_depth([SERIES, LONG], path),
    "field on an image": lambda path: plot_field_on_input(RECTANGLE, path),
    "field on a line": lambda path: plot_field_on_input(LINE, path),
    "effective field": lambda path: plot_effective_field(HEAT, path),
    "effective field on a line": lambda path: plot_effective_field(
        HeatMap("wave", "c", DENSITY[1:2], (0.0, 1.0), None, {0.5: 1}), path
    ),
}
STARTS = {".png": b"\x89PNG", ".pdf": b"%PDF", ".svg": b"<?xml"}

pytest.importorskip("matplotlib")


@pytest.mark.parametrize("suffix", STARTS)
@pytest.mark.parametrize(
    "name",
    ["field on a line", *(pytest.param(name, marks=pytest.mark.slow)
                          for name in PICTURES if name != "field on a line")],
)  # fmt: skip
def test_same_picture_is_the_same_bytes(name, suffix, tmp_path):
    first, second = tmp_path / f"one{suffix}", tmp_path / f"two{suffix}"
    PICTURES[name](first)
    PICTURES[name](second)
    assert first.read_bytes() == second.read_bytes()
    assert first.read_bytes().startswith(STARTS[suffix])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("one network by depth", ["net", "receptive field", "input: 32", ">a<"]),
        ("two networks by depth", ["net", "long", "layer, in order of execution"]),
        ("field on an image", ["net: c, position (1, 2)", "rows 0 to 6, columns 4 to 14: 7 x 11",
                               "padding included", "input, 32 x 48"]),
        ("field on a line", ["indices 4 to 14: 11", "input index"]),
        ("effective field", ["99% of the mass: side 3", "theoretical field", "mean absolute"]),
    ],
)  # fmt: skip
def test_picture_says(name, words, tmp_path):
    PICTURES[name](tmp_path / "one.svg")
    text = (tmp_path / "one.svg").read_text(encoding="utf-8")
    assert [word for word in words if word not in text] == []


def test_users_own_settings_do_not_matter(tmp_path):
    import matplotlib

    PICTURES["field on an image"](tmp_path / "one.svg")
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red"}):
        PICTURES["field on an image"](tmp_path / "two.svg")
        assert matplotlib.rcParams["font.size"] == 30
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


def test_uppercase_suffix_is_known(tmp_path):
    PICTURES["field on a line"](tmp_path / "one.PNG")
    assert (tmp_path / "one.PNG").read_bytes().startswith(STARTS[".png"])


@pytest.mark.parametrize("name", ["one.jpg", "one", "one.csv"])
def test_unknown_suffix_names_the_known_ones(name, tmp_path):
    with pytest.raises(OutputError, match=r"use one of \.pdf, \.png, \.svg"):
        check_plot_path(tmp_path / name)


def test_file_that_cannot_be_written(tmp_path):
    with pytest.raises(OutputError, match="there is no folder"):
        check_plot_path(tmp_path / "absent" / "one.svg")
    (tmp_path / "folder.svg").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        check_plot_path(tmp_path / "folder.svg")


def test_three_axes_cannot_be_drawn(tmp_path):
    cube = FieldRectangle("net", "c", (9, 9, 9), (1, 1, 1), (0, 0, 0), (3, 3, 3))
    with pytest.raises(OutputError, match="3 spatial axes"):
        plot_field_on_input(cube, tmp_path / "one.svg")


def test_missing_matplotlib_tells_the_command(tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.partition(".")[0] == "matplotlib":
            raise ModuleNotFoundError("No module named 'matplotlib'", name="matplotlib")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r'pip install "archstat\[plots\]"') as caught:
        check_plot_path(tmp_path / "one.svg")
    assert caught.value.exit_code == 2


def test_matplotlib_is_imported_on_use():
    code = "import archstat.reporters.plots, sys; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("width", "points"),
    [("3.3in", 237.6), ("84mm", 238.110236), ("252pt", 251.058531), ("5cm", 141.732283)],
)
def test_picture_is_as_wide_as_asked(width, points, tmp_path):
    plot_field_by_depth([SERIES], f"{tmp_path}/a.svg:{width}")
    (line,) = (one for one in (tmp_path / "a.svg").read_text().splitlines() if "viewBox" in one)
    assert f'width="{points}pt"' in line


@pytest.mark.parametrize("width", ["0.5in", "41in", "9999mm"])
def test_width_that_no_page_has_is_refused(width, tmp_path):
    with pytest.raises(OutputError, match="1in to 40in wide"):
        plot_field_by_depth([SERIES], f"{tmp_path}/a.svg:{width}")
