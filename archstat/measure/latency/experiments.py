"""The experiments behind ShuffleNet V2's guidelines, and one on separable convolutions.

N. Ma, X. Zhang, H.-T. Zheng and J. Sun, "ShuffleNet V2", 2018, arXiv:1807.11164, Tables 1 to 4:
their networks and the speeds that they print, of an NVIDIA GeForce GTX 1080 Ti in batches a second
and of a Qualcomm Snapdragon 810, one thread, in images a second. The paper prints channels for x1
(in Table 3 for all); x2 and x4 have two and four times as many, on maps of 56x56.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

from archstat.errors import SpecError
from archstat.hints import did_you_mean
from archstat.measure.latency.measurement import Verdict

MULTIPLIERS = (1, 2, 4)
MACS_TOLERANCE = 0.06
Speeds = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Variant:
    """One network of an experiment: a row; the first one of a size is what others refer to.

    `size` is the width multiplier, or channels and map; the published speeds are those of the same
    row, None where nobody published any.
    """

    size: str
    name: str
    spec: str
    gtx1080ti: float | None = None
    arm: float | None = None


@dataclass(frozen=True, slots=True)
class Experiment:
    """Networks of equal macs, or of nearly equal use, and what is expected of them.

    `expected` says how the others of a size compare with its first one. On a GPU and on a cpu the
    paper measured networks of different widths; `cpu_remark` is what a reader of the latter must
    know.
    """

    name: str
    title: str
    claim: str
    expected: Verdict
    on_gpu: tuple[Variant, ...]
    on_cpu: tuple[Variant, ...]
    has_equal_macs: bool = True
    cpu_remark: str = ""

    def variants(self, on_cuda: bool) -> tuple[Variant, ...]:
        """Its networks for a GPU or a cpu: sizes outer, variants inner."""
        return self.on_gpu if on_cuda else self.on_cpu


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of a table: a variant, its options by width multiplier, its speeds at x1, x2 and x4.

    `gpu` and `arm` make the options of a spec from the multiplier.
    """

    name: str
    gpu: Callable[[int], str]
    gpu_speeds: Speeds
    arm: Callable[[int], str]
    arm_speeds: Speeds


def _variants(lines: Sequence[_Line], network: str, on_gpu: bool) -> tuple[Variant, ...]:
    """Sizes outer, variants inner."""
    return tuple(
        Variant(
            f"x{multiplier}",
            line.name,
            f"{network},{(line.gpu if on_gpu else line.arm)(multiplier)}",
            line.gpu_speeds[place],
            line.arm_speeds[place],
        )
        for place, multiplier in enumerate(MULTIPLIERS)
        for line in lines
    )


def _pairs(first: int, second: int) -> Callable[[int], str]:
    return lambda by: f"in={by * first},inner={by * second}"


def _groups(channels: int, groups: int) -> Callable[[int], str]:
    # Table 2 gives 180 channels to 8 groups; the next multiple is 184.
    return lambda by: f"in={-(-by * channels // groups) * groups},groups={groups}"


def _fragments(channels: int, fragments: int, parallel: bool) -> Callable[[int], str]:
    # Equal macs: a block of n convolutions is narrower by the root of n.
    width = int(channels / sqrt(fragments))
    how = ",parallel=1" if parallel else ""
    return lambda by: f"in={by * width},fragments={fragments}{how}"


def _units(relu: bool, shortcut: bool) -> Callable[[int], str]:
    return lambda by: f"in={32 * by},relu={relu:d},shortcut={shortcut:d}"


# Table 1: c1:c2, (c1, c2) and speeds on the GPU, the same on the ARM.
_TABLE_1 = (
    _Line("1:1", _pairs(128, 128), (1480, 723, 232), _pairs(32, 32), (76.2, 21.7, 5.3)),
    _Line("1:2", _pairs(90, 180), (1296, 586, 206), _pairs(22, 44), (72.9, 20.5, 5.1)),
    _Line("1:6", _pairs(52, 312), (876, 489, 189), _pairs(13, 78), (69.1, 17.9, 4.6)),
    _Line("1:12", _pairs(36, 432), (748, 392, 163), _pairs(9, 108), (57.6, 15.1, 4.4)),
)
# Table 2: groups, channels and speeds.
_TABLE_2 = (
    _Line("1 group", _groups(128, 1), (2451, 1289, 437), _groups(64, 1), (40.0, 10.2, 2.3)),
    _Line("2 groups", _groups(180, 2), (1725, 873, 341), _groups(90, 2), (35.0, 9.5, 2.2)),
    _Line("4 groups", _groups(256, 4), (1026, 644, 338), _groups(128, 4), (32.9, 8.7, 2.1)),
    _Line("8 groups", _groups(360, 8), (634, 445, 230), _groups(180, 8), (27.8, 7.5, 1.8)),
)
# Table 3: structure, channels of one fragment and speeds.
_TABLE_3 = tuple(
    _Line(name, _fragments(128, number, parallel), gpu, _fragments(64, number, parallel), arm)
    for name, number, parallel, gpu, arm in (
        ("1-fragment", 1, False, (2446, 1274, 434), (40.2, 10.1, 2.3)),
        ("2-fragment-series", 2, False, (1790, 909, 336), (38.6, 10.1, 2.2)),
        ("4-fragment-series", 4, False, (752, 745, 349), (38.4, 10.1, 2.3)),
        ("2-fragment-parallel", 2, True, (1537, 803, 320), (33.4, 9.1, 2.2)),
        ("4-fragment-parallel", 4, True, (691, 572, 292), (35.0, 8.4, 2.1)),
    )
)
# Table 4: ReLU and shortcut, speeds at 32, 64 and 128 channels.
_TABLE_4 = tuple(
    _Line(name, _units(relu, shortcut), gpu, _units(relu, shortcut), arm)
    for name, relu, shortcut, gpu, arm in (
        ("ReLU and shortcut", True, True, (2427, 2066, 1436), (56.7, 16.9, 5.0)),
        ("ReLU alone", True, False, (2647, 2256, 1735), (61.9, 18.8, 5.2)),
        ("shortcut alone", False, True, (2672, 2121, 1458), (57.3, 18.2, 5.1)),
        ("neither", False, False, (2842, 2376, 1782), (66.3, 20.2, 5.4)),
    )
)
SEPARABLE_WIDTHS = (64, 128, 256, 512)
SEPARABLE_SIDES = (56, 28, 14, 7)


def _separable() -> Iterator[Variant]:
    for channels in SEPARABLE_WIDTHS:
        for side in SEPARABLE_SIDES:
            size, options = f"{channels}x{side}x{side}", f"in={channels},resolution={side}"
            yield Variant(size, "standard", f"conv,{options}")
            yield Variant(size, "separable", f"depthwise_separable,{options}")


def _experiment(
    name: str,
    title: str,
    claim: str,
    network: str,
    lines: Sequence[_Line],
    expected: Verdict = Verdict.SLOWER,
    cpu_remark: str = "",
) -> Experiment:
    on_gpu, on_cpu = (_variants(lines, network, on_gpu) for on_gpu in (True, False))
    return Experiment(name, title, claim, expected, on_gpu, on_cpu, cpu_remark=cpu_remark)


EXPERIMENTS: Mapping[str, Experiment] = {
    one.name: one
    for one in (
        _experiment("g1", "G1, equal channel widths (Table 1)", "unequal channel widths are slower",
                    "pointwise_pairs", _TABLE_1),
        _experiment("g2", "G2, group convolution (Table 2)", "more groups are slower",
                    "pointwise_groups", _TABLE_2,
                    cpu_remark="Table 2 gives 180 channels to 8 groups on the ARM, which 8 "
                    "does not divide: 184 replace them at x1."),
        _experiment("g3", "G3, fragments (Table 3)", "more fragments are slower",
                    "pointwise_fragments", _TABLE_3),
        _experiment("g4", "G4, element-wise operations (Table 4)",
                    "fewer element-wise operations are faster", "bottleneck_units", _TABLE_4,
                    Verdict.FASTER),
        Experiment("separable", "standard against depthwise-separable convolution, 3x3",
                   "separable convolution is faster", Verdict.FASTER, tuple(_separable()),
                   tuple(_separable()), has_equal_macs=False),
    )
}  # fmt: skip


def experiment_named(name: str) -> Experiment:
    """The experiment of a name.

    Raises:
        SpecError: no such experiment.
    """
    if name in EXPERIMENTS:
        return EXPERIMENTS[name]
    hint = did_you_mean(name, EXPERIMENTS)
    raise SpecError(f"There is no experiment {name!r}.{hint} Known: {', '.join(EXPERIMENTS)}.")
