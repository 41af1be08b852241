"""The JSON schema of archstat.toml, for editors: ``python -m archstat.budgets.schema`` prints it.

It lies beside this file as archstat.schema.json, and a test holds the two together. What a schema
cannot say (a name twice, a model that does not exist) only `archstat check` can.
"""

from __future__ import annotations

import json
from typing import Any

from archstat.budgets.rules import GROWING_KEYS, LATENCY, OPERATORS, RULE_COLUMNS, units_of
from archstat.budgets.setup import NUMBERS, SWITCHES
from archstat.result import Column
from archstat.units import LAYOUT

_NUMBER = r"([0-9]+(\.[0-9]*)?|\.[0-9]+)"
_PERCENT = {"type": "string", "pattern": rf"^\s*{_NUMBER}\s*%\s*$", "examples": ["1%", "0%"]}
_TEXTS = {
    "name": "The budget's name in tables and in the lock file; the model if it has none.",
    "model": "A zoo name, FILE.py:NAME, MODULE:NAME, timm:NAME or torchvision:NAME, with "
    ",KEY=VALUE options. Wildcards (*, ?, [...]) match several networks of the zoo, a file "
    "or a module.",
    "layout": f"{LAYOUT}.",
    "example": "Instead of input: a function that returns the inputs, FILE.py:NAME or MODULE:NAME.",
    "message": "Message for whoever breaks the budget.",
}


_SETTINGS = {
    "batch": "Batch size of every input; 1 by default.",
    "module": "A wildcard such as backbone.*: the rules are about the sum over these modules.",
    "optimizer": "For training_memory_bytes and largest_batch: sgd, momentum, adam or adamw.",
    "dtype": "For training (fp32, fp16, bf16, fp64) and latency_ms (fp32, fp16, bf16, amp).",
    "amp": "Train fp32 weights under autocast.",
    "kernels": "Whose kernels training runs: cpu or cuda.",
    "checkpoint": "Patterns of modules that run again in backward, such as layer*,blocks.?.",
    "fits": "The memory that largest_batch must fit in, such as 24GiB.",
    "device": "Where latency_ms is measured: cpu, cuda or cuda:NUMBER.",
    "threads": "Threads of torch for latency_ms on a cpu.",
    "measure_for": "How long latency_ms is measured; 10s by default.",
}


_OP = {
    "name": "The operator, such as mine::rotate.",
    "macs": "Macs of one call, such as numel(x) * weight[0], in the operator's own argument names.",
    "flops": "Flops of one call; twice the macs by default.",
    "free": "Instead of both: why it costs nothing.",
}


def schema() -> dict[str, Any]:
    """The schema of a file of budgets, as plain dicts and lists."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Budgets of archstat",
        "type": "object",
        "properties": {
            "budget": {"type": "array", "minItems": 1, "items": _budget()},
            "op": {"type": "array", "items": _op()},
        },
        "required": ["budget"],
        "additionalProperties": False,
    }


def _op() -> dict[str, Any]:
    texts = {key: {"type": "string", "description": text} for key, text in _OP.items()}
    return {
        "description": "What one of your own operators costs.",
        "type": "object",
        "properties": texts,
        "required": ["name"],
        "additionalProperties": False,
    }


def _budget() -> dict[str, Any]:
    shape = {"type": "string", "examples": ["3x224x224", "tokens=128:int64"]}
    own: dict[str, Any] = {
        **{k: {"type": "string", "minLength": 1, "description": v} for k, v in _TEXTS.items()},
        "input": {
            "description": "Shapes without the batch; the model's own if it has one.",
            "anyOf": [shape, {"type": "array", "items": shape}],
        },
        "informational": {
            "type": "boolean",
            "default": False,
            "description": "Shown, but does not fail the check.",
        },
        "max_increase": {
            "description": "How much figures may exceed the lock file: the budget's figures where "
            "less is better, else params and macs; or a table by column.",
            "anyOf": [
                _PERCENT,
                {
                    "type": "object",
                    "properties": dict.fromkeys(GROWING_KEYS, _PERCENT),
                    "additionalProperties": False,
                },
            ],
        },
    }
    own |= {key: _setting(key, text) for key, text in _SETTINGS.items()}
    rules = {column.key: _rule(column) for column in RULE_COLUMNS}
    return {
        "type": "object",
        "properties": {**own, **rules},
        "required": ["model"],
        "anyOf": [{"required": [key]} for key in ("max_increase", *rules)],
        "additionalProperties": False,
    }


def _setting(key: str, description: str) -> dict[str, Any]:
    if key in NUMBERS:
        return {"type": "integer", "minimum": 1, "description": description}
    kind = "boolean" if key in SWITCHES else "string"
    return {"type": kind, "description": description}


def _rule(column: Column) -> dict[str, Any]:
    named = units_of(column)
    unit = "|".join(filter(None, named))
    unit = f"({unit}){'?' if '' in named else ''}" if unit else ""
    examples = {"bytes": ["<= 20MiB"], "pixels": [">= 224"], "number": ["<= 50"], "ms": ["<= 20"]}
    operators = [sign for sign in OPERATORS if column.key != LATENCY or sign != "=="]
    one = {
        "type": "string",
        "pattern": rf"^\s*({'|'.join(operators)})\s*{_NUMBER}\s*{unit}\s*$",
        "examples": examples.get(column.unit, ["<= 5.3M", "== 5288548"]),
    }
    several = {"type": "array", "minItems": 1, "maxItems": 2, "items": one}
    return {"description": column.meaning, "anyOf": [one, several]}


def schema_text() -> str:
    """The schema as the file has it."""
    return json.dumps(schema(), indent=2) + "\n"


if __name__ == "__main__":
    print(schema_text(), end="")
