"""What sources count that archstat has no column for: one small function of a Report for each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import prod

from archstat.graph import Op
from archstat.result import Report


def total(key: str) -> Callable[[Report], int]:
    """A total of the report."""

    def measure(report: Report) -> int:
        return int(report.totals[key] or 0)

    return measure


def receptive_field(report: Report) -> int:
    """Pixels a side; 0 where that is not one number."""
    sides = set(report.totals["receptive_field"] or ())
    side = sides.pop() if len(sides) == 1 else None
    return int(side or 0)


# -- parameters --------------------------------------------------------------------------------


def norm_params(report: Report) -> int:
    """Scales and shifts of the batch norms."""
    return _own(report, "params", _norms(report))


def norm_channels(report: Report) -> int:
    """Channels that a batch norm normalises; each has two running statistics."""
    means = (v for v in report.graph.buffers() if (v.name or "").endswith("running_mean"))
    return sum(value.numel for value in means)


def running_statistics(report: Report) -> int:
    """Running means and variances."""
    return 2 * norm_channels(report)


def with_running_statistics(report: Report) -> int:
    """Parameters and running statistics, as Keras and MXNet add up."""
    return total("params")(report) + running_statistics(report)


def with_running_statistics_without_scale(report: Report) -> int:
    """As Keras adds up where its batch norms have no scale."""
    return total("params")(report) + norm_channels(report)


def with_conv_bias(report: Report) -> int:
    """As Keras adds up where every convolution has a bias."""
    return with_running_statistics(report) + sum(_missing_biases(report, set()))


def with_conv_bias_before_no_norm(report: Report) -> int:
    """As Keras adds up where a convolution has a bias unless a batch norm follows it."""
    normalised = {op.inputs[0] for op in report.graph.ops if op.kind == "norm"}
    return with_running_statistics(report) + sum(_missing_biases(report, normalised))


def _missing_biases(report: Report, normalised: set[int]) -> Iterable[int]:
    """Output channels of the convolutions without a bias, but for those then normalised."""
    for op in report.graph.ops:
        if op.kind == "conv" and len(op.inputs) < 3 and op.outputs[0] not in normalised:
            yield report.graph.values[op.outputs[0]].shape[1]


def without_norm_params(report: Report) -> int:
    """Weights and biases of convolutions and linear layers alone."""
    return total("params")(report) - norm_params(report)


def with_folded_norms(report: Report) -> int:
    """Batch norms folded into convolutions: a bias a channel in place of scale and shift."""
    return total("params")(report) - norm_channels(report)


def without_conv_bias(report: Report) -> int:
    """Parameters but for the biases of convolutions."""
    biases = sum(
        report.graph.values[op.inputs[2]].numel
        for op in report.graph.ops
        if op.kind == "conv" and len(op.inputs) > 2
    )
    return total("params")(report) - biases


def top_params(report: Report) -> int:
    """Parameters of the fully connected layers."""
    return _own(report, "params", {op.module for op in _linear(report)})


def without_top(measure: Callable[[Report], int]) -> Callable[[Report], int]:
    """A count of parameters without those of the fully connected layers."""

    def measure_rest(report: Report) -> int:
        return measure(report) - top_params(report)

    return measure_rest


# -- operations --------------------------------------------------------------------------------


def macs_without_classifier(report: Report) -> int:
    """Multiply-accumulates but for the last linear layer's."""
    linear = [number for op, number in _with(report, "macs") if op.kind == "linear"]
    return total("macs")(report) - (linear[-1] if linear else 0)


def twice_macs(report: Report) -> int:
    """A multiplication and an addition for each multiply-accumulate."""
    return 2 * total("macs")(report)


def macs_of_convolutions(report: Report) -> int:
    """Multiply-accumulates of the convolutions alone."""
    return sum(number for op, number in _with(report, "macs") if op.kind == "conv")


def twice_macs_of_convolutions(report: Report) -> int:
    """Two operations a multiply-accumulate of the convolutions."""
    return 2 * macs_of_convolutions(report)


def flops_without_linear(report: Report) -> int:
    """All flops but two for a multiply-accumulate of a linear layer."""
    dropped = total("macs")(report) - macs_of_convolutions(report)
    return total("flops")(report) - 2 * dropped


def macs_and_all_else(report: Report) -> int:
    """Multiply-accumulates, and one for each of all other flops."""
    return total("flops")(report) - total("macs")(report)


def macs_and_twice_all_else(report: Report) -> int:
    """Multiply-accumulates, and two for each of all other flops."""
    macs = total("macs")(report)
    return macs + 2 * (total("flops")(report) - 2 * macs)


def macs_and_bias(report: Report) -> int:
    """Multiply-accumulates and one for each bias that is added."""
    biased = (op for op in report.graph.ops if op.kind in ("conv", "linear"))
    return total("macs")(report) + sum(_made(report, op) for op in biased if len(op.inputs) > 2)


def connections(report: Report) -> int:
    """Connections of LeNet-5: an input of a unit each, and its bias.

    A sub-sampling unit has its window and a bias, an output unit a distance along each axis.
    """
    units = macs_and_bias(report)
    for op in report.graph.ops:
        if op.kind == "pool":
            units += _made(report, op) * (prod(op.attributes["kernel"]) + 1)
        elif op.kind == "reduce":
            units += report.graph.values[op.inputs[0]].numel
    return units


def layers_with_weights(report: Report) -> int:
    """Layers of a sequence that hold weights, trained or fixed."""
    values = (*report.graph.parameters(), *report.graph.buffers())
    return len({(value.name or "").partition(".")[0] for value in values})


def activations_and_max_pools(report: Report) -> int:
    """Outputs of convolutions, linear layers and max pooling."""
    pools = (op for op in report.graph.ops if op.kind == "pool" and "max" in op.name)
    return total("activations")(report) + sum(_made(report, op) for op in pools)


def _made(report: Report, op: Op) -> int:
    return report.graph.values[op.outputs[0]].numel


def _with(report: Report, key: str) -> Iterable[tuple[Op, int]]:
    numbers = next(a.per_op[key] for a in report.analyses if key in a.per_op)
    return ((op, int(n)) for op, n in zip(report.graph.ops, numbers, strict=True))


def _linear(report: Report) -> list[Op]:
    return [op for op in report.graph.ops if op.kind == "linear"]


def _norms(report: Report) -> set[str]:
    return {m.path for m in report.graph.modules if m.type.startswith("BatchNorm")}


def _own(report: Report, key: str, paths: set[str]) -> int:
    found = next(a.per_module for a in report.analyses if a.per_module)
    return sum(int(row.get(key, 0)) for path, row in found.items() if path in paths)
