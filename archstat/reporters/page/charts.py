"""Charts of a page: lines over the depth of a network, and points on logarithmic axes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil, log10

from archstat.reporters.page.svg import label, line, log_ticks, path, picture, tag, text, ticks

WIDTH, HEIGHT = 540.0, 300.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 62.0, 12.0, 22.0, 38.0
_MOST_POINTS = 700


@dataclass(frozen=True, slots=True)
class Series:
    """A line: its name, and a height for each place; None where there is none."""

    name: str
    heights: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Axes:
    """What the axes of lines say: labels, how a height is written, a level drawn across."""

    x: str
    y: str
    write: Callable[[float], str]
    binary: bool = False
    level: tuple[float, str] | None = None


@dataclass(frozen=True, slots=True)
class Point:
    """A point at two positive numbers: its row in a table, its name and radius, and its series."""

    row: int
    name: str
    x: float
    y: float
    radius: float = 5.0
    series: int = 0
    named: bool = False


def lines(title: str, series: Sequence[Series], axes: Axes, tables: Sequence[str],
          *, filled: bool = False, mark: tuple[int, str] | None = None) -> str:  # fmt: skip
    """Each series over the whole width, its first place left and its last right.

    `tables` names for each series the rows that its places are; `mark` names one place of the
    first series.
    """
    heights = [h for one in series for h in one.heights if h is not None]
    most = max([*heights, axes.level[0] if axes.level else 0, 1e-9]) * 1.08
    drawn = [_grid(axes, most)]
    for number, one in enumerate(series):
        drawn.append(_line(one, number, most, filled and len(series) == 1))
    if axes.level:
        y = _up(axes.level[0], most)
        drawn.append(line(_LEFT, y, WIDTH - _RIGHT, y, "level"))
        drawn.append(label(WIDTH - _RIGHT, y - 4, axes.level[1], class_="end dim"))
    if mark is not None:
        drawn.append(_mark(series[0], mark, most))
    places = " ".join(str(len(one.heights)) for one in series)
    inner = tag("g", *drawn)
    return picture(title, WIDTH, HEIGHT, inner, class_="lines", data_lines=" ".join(tables),
                   data_places=places)  # fmt: skip


def _grid(axes: Axes, most: float) -> str:
    drawn = []
    for tick in ticks(most, axes.binary):
        y = _up(tick, most)
        drawn.append(line(_LEFT, y, WIDTH - _RIGHT, y, "grid"))
        drawn.append(label(_LEFT - 6, y + 4, axes.write(tick), class_="end dim"))
    drawn.append(label(WIDTH - _RIGHT, HEIGHT - 6, axes.x, class_="end dim"))
    drawn.append(label(2, 12, axes.y, class_="dim"))
    return "".join(drawn)


def _up(height: float, most: float) -> float:
    return HEIGHT - _BOTTOM - height / most * (HEIGHT - _TOP - _BOTTOM)


def _along(place: int, count: int) -> float:
    return _LEFT + (WIDTH - _LEFT - _RIGHT) * (place / max(1, count - 1))


def _line(one: Series, number: int, most: float, filled: bool) -> str:
    count = len(one.heights)
    points = [(_along(n, count), _up(h, most)) for n, h in _thinned(one.heights)]
    drawn = tag("path", d=path(points, steps=True), class_=f"line s{number % 7}")
    if filled and points:
        base = HEIGHT - _BOTTOM
        around = f"{path(points, steps=True)}V{base:.1f}H{points[0][0]:.1f}Z"
        drawn = tag("path", d=around, class_=f"fill s{number % 7}") + drawn
    return drawn


def _thinned(heights: Sequence[float | None]) -> Iterator[tuple[int, float]]:
    """The places that have a height; of very many, the highest of each few."""
    few = ceil(len(heights) / _MOST_POINTS) or 1
    for start in range(0, len(heights), few):
        found = [(h, -n) for n, h in enumerate(heights[start : start + few], start)
                 if h is not None]  # fmt: skip
        if found:
            height, place = max(found)
            yield -place, height


def _mark(one: Series, mark: tuple[int, str], most: float) -> str:
    place, said = mark
    x, y = _along(place, len(one.heights)), _up(one.heights[place] or 0, most)
    right = x > WIDTH / 2
    return tag("circle", cx=x, cy=y, r=4, class_="mark") + label(
        x + (-8 if right else 8), y - 5, said, class_="end" if right else None)  # fmt: skip


def legend(names: Sequence[str]) -> str:
    """The names of series in their colours."""
    items = (tag("span", tag("i", class_=f"s{n % 7}"), text(name)) for n, name in enumerate(names))
    return tag("p", *items, class_="legend")


@dataclass(frozen=True, slots=True)
class Scale:
    """A logarithmic axis from one number to another, over places on the page."""

    least: float
    most: float
    start: float
    end: float

    def place(self, number: float) -> float:
        """Where a number is."""
        part = (log10(number) - log10(self.least)) / (log10(self.most) - log10(self.least))
        return self.start + part * (self.end - self.start)


def scales(points: Sequence[Point], reach: float | None = None, *, high: Sequence[float] = (),
           wide: Sequence[float] = ()) -> tuple[Scale, Scale]:  # fmt: skip
    """Axes on which all points, and further numbers of either, have room.

    Each goes beyond them by the factor `reach`, by default a part of its own length.
    """
    xs, ys = [*(p.x for p in points), *wide] or [1], [*(p.y for p in points), *high] or [1]
    return (
        _around(xs, reach, _LEFT, WIDTH - _RIGHT),
        _around(ys, reach, HEIGHT - _BOTTOM, _TOP),
    )


def _around(numbers: Sequence[float], reach: float | None, start: float, end: float) -> Scale:
    least, most = min(numbers), max(numbers)
    beyond = reach or max(1.02, (most / least) ** 0.08)
    return Scale(least / beyond, most * beyond, start, end)


def front(points: Iterable[tuple[float, float]], more_x: bool, more_y: bool) -> (
    list[tuple[float, float]]
):  # fmt: skip
    """The corners of the Pareto front: the points no other beats, and the steps between them.

    Args:
        points: places on both axes.
        more_x, more_y: whether more is better there. The best of x comes first.
    """
    signs = (-1 if more_x else 1, -1 if more_y else 1)
    corners: list[tuple[float, float]] = []
    for x, y in sorted(points, key=lambda point: (signs[0] * point[0], signs[1] * point[1])):
        if not corners:
            corners.append((x, y))
        elif signs[1] * y < signs[1] * corners[-1][1]:
            corners += [(x, corners[-1][1]), (x, y)]
    return corners


def scatter(title: str, points: Sequence[Point], x: Scale, y: Scale, axes: tuple[str, str],
            write: Callable[[float], str], table: str, *under: str,
            **attributes: object) -> str:  # fmt: skip
    """Points on two logarithmic axes, `under` below them, names beside those that bear one."""
    grid = []
    for tick in log_ticks(x.least, x.most):
        grid.append(line(x.place(tick), _TOP, x.place(tick), HEIGHT - _BOTTOM, "grid"))
        grid.append(label(x.place(tick), HEIGHT - 22, write(tick), class_="mid dim"))
    for tick in log_ticks(y.least, y.most):
        grid.append(line(_LEFT, y.place(tick), WIDTH - _RIGHT, y.place(tick), "grid"))
        grid.append(label(_LEFT - 6, y.place(tick) + 4, write(tick), class_="end dim"))
    names = (label(WIDTH - _RIGHT, HEIGHT - 6, axes[0], class_="end dim"),
             label(2, 12, axes[1], class_="dim"))  # fmt: skip
    dots = []
    for point in points:
        dots.append(tag("circle", cx=x.place(point.x), cy=y.place(point.y), r=point.radius,
                        class_=f"dot s{point.series % 7}", data_n=point.row))  # fmt: skip
    written = _named(points, x, y)
    return picture(title, WIDTH, HEIGHT, tag("g", *grid, *names, class_="axes"), *under,
                   tag("g", *dots, *written, data_t=table), class_="scatter",
                   **attributes)  # fmt: skip


def _named(points: Sequence[Point], x: Scale, y: Scale) -> Iterator[str]:
    """The names of some points, each at the first height at which it hits no name and no point."""
    taken = [(x.place(p.x) - p.radius, x.place(p.x) + p.radius, y.place(p.y) + 4) for p in points]
    for point in (one for one in points if one.named):
        right = x.place(point.x) > WIDTH * 0.6
        width, away = 7.0 * len(point.name), point.radius + 4
        at = x.place(point.x) + (-away if right else away)
        left = at - width if right else at
        # To its right a front goes on at its height.
        above = y.place(point.y) + (4 if right else -5)
        for shift in (0, 16, -16, 30, -30, 44, 58):
            free = all(abs(above + shift - b) > 12 or left + width < begin or left > end
                       for begin, end, b in taken)  # fmt: skip
            if free:
                taken.append((left, left + width, above + shift))
                yield label(at, above + shift, point.name, class_="end" if right else None)
                break
