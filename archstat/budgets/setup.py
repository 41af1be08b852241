"""The keys of a budget that say how its model is run: checked here, without torch."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import Any

from archstat.analyses import COLUMNS
from archstat.budgets.rules import LARGEST_BATCH, LATENCY, TRAINING, Setup
from archstat.errors import ArchstatError, SpecError
from archstat.hints import did_you_mean
from archstat.measure.latency.conditions import Conditions
from archstat.units import parse_bytes, parse_seconds

SETUP_KEYS = tuple(field.name for field in fields(Setup))
NUMBERS, SWITCHES = ("batch", "threads"), ("amp",)
_STEPS = (TRAINING, LARGEST_BATCH)
# The rules that a key is for; the others are for any rule.
_FOR: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        **dict.fromkeys(("optimizer", "amp", "kernels", "checkpoint"), _STEPS),
        "fits": (LARGEST_BATCH,),
        "dtype": (*_STEPS, LATENCY),
        **dict.fromkeys(("device", "threads", "measure_for"), (LATENCY,)),
    }
)
_DTYPES = ("fp32", "fp16", "bf16", "fp64", "amp")
_ADDITIVE = frozenset(column.key for column in COLUMNS if column.of == "all" and column.better)


def setup_of(
    given: Mapping[str, Any], rules: Collection[str], report: Callable[[str, str], None]
) -> Setup:
    """The setup that keys of a budget describe; `report` takes the key and text of each mistake.

    Args:
        given: values by key, those of `SETUP_KEYS` alone.
        rules: the columns that the budget has rules for.
    """
    known = {key: value for key, value in given.items() if _fits_type(key, value, report)}
    for key in known:
        wanted = _FOR.get(key, ())
        if wanted and not set(wanted) & set(rules):
            report(key, f"{key} is for {' and '.join(wanted)}, which has no rule here.")
    for key, check in _CHECKS.items():
        try:
            if key in known:
                check(known[key])
        except ArchstatError as error:
            report(key, f"{key}: {error}")
    _check_together(known, rules, report)
    return Setup(**known)


def _fits_type(key: str, value: Any, report: Callable[[str, str], None]) -> bool:
    kind, wanted = (
        (int, "a whole number from 1") if key in NUMBERS else
        (bool, "true or false") if key in SWITCHES else (str, "text in quotation marks")
    )  # fmt: skip
    if type(value) is kind and (kind is bool or (value and value > kind())):
        return True
    report(key, f"{key} = {value!r} is not {wanted}.")
    return False


def _check_together(
    given: Mapping[str, Any], rules: Collection[str], report: Callable[[str, str], None]
) -> None:
    if LARGEST_BATCH in rules and "fits" not in given:
        report(LARGEST_BATCH, 'largest_batch needs the memory to fit in; write fits = "24GiB".')
    whole = [key for key in rules if key not in _ADDITIVE]
    if "module" in given and whole:
        report(
            "module",
            f"module: {whole[0]} belongs to the whole model; it does not add up over modules.",
        )


def _check_dtype(dtype: str) -> None:
    if dtype not in _DTYPES:
        hint = did_you_mean(dtype, _DTYPES)
        raise SpecError(f"there is no dtype {dtype!r}.{hint} Known: {', '.join(_DTYPES)}.")


def _check_checkpoint(patterns: str) -> None:
    if patterns == "auto":
        raise SpecError("auto chooses anew each time; name the modules that it chose.")


_CHECKS: Mapping[str, Callable[[Any], Any]] = MappingProxyType(
    {
        "fits": parse_bytes,
        "checkpoint": _check_checkpoint,
        "measure_for": parse_seconds,
        "dtype": _check_dtype,
        "device": lambda device: Conditions(device).checked(),
    }
)
