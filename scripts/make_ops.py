"""Write docs/ops.md: what every table says of each op; ``--check`` only compares."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from generated import ROOT, finish

from archstat.analyses import accesses, costs, depth, field, fusion, products
from archstat.frontends import aten
from archstat.measure.training import kernels
from archstat.measure.training import mode as training

PAGE = ROOT / "docs" / "ops.md"
HEAD = """# Ops

`scripts/make_ops.py` writes this page from the tables in the code: a line for each name in the kind
table of `archstat/frontends/aten.py` and the cost tables of `archstat/analyses/costs.py`.
"-" means that a table does not have the op, with this effect:

| column | table | "-" means |
| --- | --- | --- |
| kind | `frontends/aten.py` | `other`: no layer, no window |
| shape | `frontends/aten.py`, rules in `shapes*.py` | torch runs the op on meta, which is slower |
| cost | `analyses/costs.py`, `products.py` | unknown: it is named, totals are lower bounds |
| field | `analyses/field/*.py` | what its positions see is unknown, and a note says so |
| access | `analyses/accesses.py` | it reads its inputs and writes its outputs whole |
| fusion | `analyses/fusion.py` | it stays by itself, or a batch norm folds into it |
| gate | `analyses/depth.py` | its result never closes a gate |
| training | `measure/training/mode.py` | no macs in `training_macs` |
| autocast | `measure/training/kernels.py` | `--amp` leaves its dtype alone |

To add an op, see [Add an op](add-an-op.md).

"""
COLUMNS = ("kind", "shape", "cost", "field", "access", "fusion", "gate", "training", "autocast")


FORMULAS = (
    *(costs.BATCH_NORMS, costs.FOLDS, costs.SCATTERED_SUMS, costs.DISTANCES, costs.TRANSFORMS),
    *(costs.MAX_POOLS, costs.AVERAGE_POOLS, costs.ADAPTIVE_MAX_POOLS, costs.BAGS),
    *(costs.ADAPTIVE_AVERAGE_POOLS, ("_fused_rms_norm",)),
)


def main() -> int:
    """Write the page, or compare it."""
    return finish({PAGE: page()})


def page() -> str:
    """The page: what each table is, then a line an op."""
    lines = [f"| op | {' | '.join(COLUMNS)} |", f"| --- |{' --- |' * len(COLUMNS)}"]
    for name in names():
        lines.append(f"| `{name}` | {' | '.join(told(name).values())} |")
    return HEAD + "\n".join(lines) + "\n"


def names() -> list[str]:
    """Every name of the kind table and of the tables of costs."""
    tables: tuple[Iterable[str], ...] = (
        *(aten.KIND_OF, costs.PER_OUTPUT, costs.PER_INPUT, *FORMULAS, costs.FREE),
        *(costs.WITHOUT_PRODUCTS, products.PRODUCTS_OF_NAMES),
    )
    return sorted({name for table in tables for name in table}, key=lambda n: (n.strip("_"), n))


def told(name: str) -> Mapping[str, str]:
    """What each table says of an op, by column."""
    kind = aten.KIND_OF.get(name, "-")
    bare = name.partition("::")[2] or name
    autocast = {d: rules.policies[bare] for d, rules in kernels.AUTOCAST.items()
                if name == bare and bare in rules.policies}  # fmt: skip
    cells = {
        "kind": kind,
        "shape": "rule" if name in ruled() else "-",
        "cost": cost(name, kind),
        "field": "rule" if bare in field.RULES else "-",
        "access": next(access(name), "-"),
        "fusion": fused(bare, kind),
        "gate": "yes" if bare in depth._GATES and name == bare else "-",
        "training": "macs" if name in training.FORMULAS else "-",
        "autocast": ", ".join(f"{device}: {policy}" for device, policy in autocast.items()) or "-",
    }
    return cells


def ruled() -> set[str]:
    """The names that have a shape rule for one of their overloads."""
    return {target.split(".")[1].rstrip("_") for target in aten._RULES}


def cost(name: str, kind: str) -> str:
    """Counted, and for what; free, and why; or what stays unknown."""
    if name in products.PRODUCTS_OF_NAMES or kind in products.PRODUCTS:
        return "macs"
    if name in costs.FREE:
        return f"free: {costs.FREE[name]}"
    if name in costs.WITHOUT_PRODUCTS:
        return "no macs, flops unknown"
    if name in costs.PER_OUTPUT:
        return f"flops: {costs.PER_OUTPUT[name]} an output element"
    if name in costs.PER_INPUT:
        return f"flops: {costs.PER_INPUT[name]} an input element"
    return "flops, by its own formula" if any(name in table for table in FORMULAS) else "-"


def access(name: str) -> Iterator[str]:
    """What an op reads or writes only a part of."""
    rule = accesses._rule(f"{name.replace('::', '.')}.x" if "::" in name else name)
    if rule not in ("plain", "in place"):
        yield rule
    in_place = accesses._rule(f"{name}_")
    if in_place not in ("plain", "in place", rule):
        yield f"in place: {in_place}"


def fused(name: str, kind: str) -> str:
    """What fusion makes of an op."""
    if name in fusion.MOVES:
        return "moves"
    alone = kind in fusion._ALONE
    return "element-wise" if name in fusion.ELEMENT_WISE and not alone else "-"


if __name__ == "__main__":
    raise SystemExit(main())
