"""Multiply-accumulates, flops and activations of every op, in three states.

`macs` counts multiplications that are added up, in convolutions, linear layers, matrix products,
attention and recurrent layers, without bias: what most papers call FLOPs. `flops` is twice that,
plus the cost of everything else (see `costs`). Padding counts as data.
"""

from __future__ import annotations

from collections import Counter
from math import log2, prod

from archstat.analyses import costs
from archstat.analyses.products import NO_PRODUCT, PRODUCTS, PRODUCTS_OF_NAMES, UNKNOWN, Cost
from archstat.graph import REGISTERED, REGISTERED_FREE, REGISTERED_MACS, Graph, Op, Value
from archstat.result import Analysis, Analyzer, Column, Note

COLUMNS = (
    Column("macs", "count", "multiply-accumulates of conv, linear, matmul, attention", "lower"),
    Column("flops", "count", "2 x macs, plus bias, norm, activation, pooling, add", "lower"),
    Column("activations", "count", "output elements of conv, linear and matmul", "lower"),
    Column("unknown_ops", "number", "operations neither counted nor free", "lower"),
)


def operations(graph: Graph) -> Analysis:
    """The cost of every op of a Graph, with a finding for each unknown target and module."""
    return graph.once("operations", lambda: _counted(graph))


def _counted(graph: Graph) -> Analysis:
    found = [cost(op, graph.values) for op in graph.ops]
    _join_complex_convolutions(graph, found)
    per_op = {
        "macs": [c.macs for c in found],
        "flops": [c.flops for c in found],
        "activations": [c.activations for c in found],
        "unknown_ops": [int(c.state == "unknown") for c in found],
    }
    unknown = Counter(
        (op.target, op.module, op.module_type, c)
        for op, c in zip(graph.ops, found, strict=True)
        if c.state == "unknown"
    )
    bounds = {"flops"} if unknown else set()
    if any(not c.reason for *_, c in unknown):
        bounds |= {"macs", "activations"}
    return Analysis(
        totals={key: sum(numbers) for key, numbers in per_op.items()},
        per_op=per_op,
        lower_bounds=frozenset(bounds),
        findings=tuple(_finding(*key, count) for key, count in unknown.items()),
    )


def cost(op: Op, values: tuple[Value, ...]) -> Cost:
    """The cost of one op, given the values that its inputs and outputs index.

    An op with tensors of which its formula can make nothing is unknown.
    """
    inputs = [values[i] for i in op.inputs]
    outputs = [values[i] for i in op.outputs]
    try:
        return _cost(op, inputs, outputs)
    except (IndexError, KeyError, TypeError, ValueError, ZeroDivisionError):
        return UNKNOWN


def _cost(op: Op, inputs: list[Value], outputs: list[Value]) -> Cost:
    name = costs.key(op.target)
    formula = PRODUCTS_OF_NAMES.get(name) or PRODUCTS.get(op.kind)
    if formula is not None:
        return formula(op, inputs, outputs)
    if REGISTERED in op.attributes:
        return _registered(op, sum(out.numel for out in outputs))
    reason = costs.FREE.get(name)
    if reason is not None and not (name == "index_put" and op.attributes.get("accumulate")):
        return Cost("free", reason=reason)
    if name in costs.WITHOUT_PRODUCTS:
        return NO_PRODUCT
    flops = _other_flops(name, op, inputs, outputs)
    return UNKNOWN if flops is None else Cost("counted", flops=flops)


def _registered(op: Op, made: int) -> Cost:
    if REGISTERED_FREE in op.attributes:
        return Cost("free", reason=op.attributes[REGISTERED_FREE])
    # torch counts two for a multiplication and its addition, and nothing else
    flops = op.attributes[REGISTERED]
    macs = op.attributes.get(REGISTERED_MACS, flops // 2)
    return Cost("counted", macs, flops, made if macs else 0, "by the formula registered for it")


def _other_flops(name: str, op: Op, inputs: list[Value], outputs: list[Value]) -> int | None:
    if not outputs:
        return None
    made = outputs[0].numel
    if name in costs.PER_OUTPUT:
        return costs.PER_OUTPUT[name] * made
    if name in costs.BATCH_NORMS:
        # No running statistics means batch statistics, whatever the flag says.
        eval_only = name == "_native_batch_norm_legit_no_training"
        in_training = op.attributes.get("training", False) and not eval_only
        return made * (costs.BATCH_NORM_TRAINING if in_training else costs.BATCH_NORM_EVAL)
    if name in costs.MAX_POOLS:
        return made * (_window(op) - 1)
    if name in costs.AVERAGE_POOLS:
        return made * _window(op)
    read = inputs[0].numel if inputs else 0
    if name in costs.PER_INPUT:
        return costs.PER_INPUT[name] * read
    if name in costs.FOLDS:
        return read - made
    if name in costs.ADAPTIVE_AVERAGE_POOLS or name in costs.ADAPTIVE_MAX_POOLS:
        windows = _adaptive_window(inputs[0], outputs[0]) * made
        return windows - made if name in costs.ADAPTIVE_MAX_POOLS else windows
    return _rarer_flops(name, op, inputs, outputs[0])


def _rarer_flops(name: str, op: Op, inputs: list[Value], out: Value) -> int | None:
    if name in costs.SCATTERED_SUMS or name == "index_put":
        return inputs[-1].numel
    if name in costs.BAGS:  # of the weights, as many rows as there are indices
        weighted = len(inputs) > 3 and inputs[3].dtype == inputs[0].dtype
        return inputs[1].numel * inputs[0].shape[-1] * (1 + weighted)
    if name == "_fused_rms_norm":
        groups: int = inputs[0].numel // prod(op.attributes["normalized_shape"])
        per_element = costs.RMS_NORM + (len(inputs) > 1)
        return per_element * out.numel + costs.RMS_NORM_GROUP * groups
    if name in costs.DISTANCES:
        return costs.PER_COORDINATE * out.numel * inputs[0].shape[-1]
    if name in costs.TRANSFORMS:
        signal = inputs[0] if name == "_fft_r2c" else out
        points = prod(signal.shape[axis] for axis in op.attributes["dim"])
        return round(costs.TRANSFORMS[name] * signal.numel * log2(max(points, 1)))
    return None


def _window(op: Op) -> int:
    kernel: tuple[int, ...] = op.attributes["kernel"]
    return prod(kernel)


def _adaptive_window(before: Value, after: Value) -> int:
    pairs = zip(before.shape, after.shape, strict=True)
    return prod(-(-size // out) for size, out in pairs if size != out)


def _join_complex_convolutions(graph: Graph, found: list[Cost]) -> None:
    """Count the three real convolutions that torch makes of a complex one as that one.

    A complex number counts as one element: the first has all the cost, the others and the sums
    that join them are free.
    """
    ops, values = graph.ops, graph.values
    for index, op in enumerate(ops):
        if op.kind != "conv" or not _is_real_part(graph, op.inputs[1]):
            continue
        third = next((i for i in range(index + 2, min(index + 6, len(ops)))
                      if ops[i].kind == "conv"), None)  # fmt: skip
        if third is None or ops[index + 1].kind != "conv":
            continue
        # Of the results: two differences, the imaginary unit, a third difference and the sum.
        last = third + 5
        if last >= len(ops) or not values[ops[last].outputs[0]].dtype.startswith("complex"):
            continue
        for part in range(index + 1, last + 1):
            found[part] = Cost("free", reason="a part of a complex convolution")


def _is_real_part(graph: Graph, value: int) -> bool:
    maker = graph.producers[value]
    op = None if maker is None else graph.ops[maker]
    if op is None or op.name != "select" or op.attributes.get("index") != 0:
        return False
    before = graph.producers[op.inputs[0]]
    return before is not None and graph.ops[before].name == "view_as_real"


def _finding(target: str, module: str, module_type: str, cost: Cost, count: int) -> Note:
    times = "" if count == 1 else f" ({count} times)"
    where = f"{module} ({module_type})" if module else module_type
    bounds = "flops is a lower bound, macs is exact" if cost.reason else "totals are lower bounds"
    said = f"; {cost.reason}" if cost.reason else ""
    return Note(
        "unknown_ops",
        module,
        f"unknown: {target} in {where}{times} is neither counted nor known to be free{said}; "
        f"{bounds}.",
    )


ANALYZER = Analyzer("operations", COLUMNS, operations)
