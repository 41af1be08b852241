"""JSON: the rows with raw numbers, and what they mean."""

from __future__ import annotations

import json

from archstat.result import Table

SCHEMA_VERSION = 1


def to_json(table: Table) -> str:
    """The table as one JSON document, ``rows`` holding one object a row."""
    document = {
        "schema_version": SCHEMA_VERSION,
        "archstat": table.archstat_version,
        "torch": table.torch_version,
        "convention": dict(table.convention),
        "notes": [note.text for note in table.notes],
        "rows": list(table.records()),
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
