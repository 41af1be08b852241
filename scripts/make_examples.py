"""Run the notebooks of examples/ and keep what they print; ``--check`` only compares.

No kernel is needed: the cells are run one after the other in one namespace, in a folder of their
own, and what a cell's last expression gives is kept as text and as HTML.
"""

from __future__ import annotations

import ast
import io
import json
import os
import sys
import tempfile
from contextlib import chdir, redirect_stdout
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).parents[1] / "examples"


def notebooks() -> list[Path]:
    """The notebooks, in order."""
    return sorted(EXAMPLES.glob("*.ipynb"))


def executed(text: str) -> str:
    """A notebook with the outputs that its cells have now.

    Raises:
        Exception: whatever a cell raises.
    """
    notebook = json.loads(text)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        cells = (cell for cell in notebook["cells"] if cell["cell_type"] == "code")
        for number, cell in enumerate(cells, 1):
            cell["execution_count"] = number
            cell["outputs"] = _outputs("".join(cell["source"]), namespace, number)
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def _outputs(source: str, namespace: dict[str, Any], number: int) -> list[dict[str, Any]]:
    *statements, last = ast.parse(source).body
    printed, value = io.StringIO(), None
    with redirect_stdout(printed):
        if isinstance(last, ast.Expr):
            exec(compile(ast.Module(statements, []), "cell", "exec"), namespace)
            value = eval(compile(ast.Expression(last.value), "cell", "eval"), namespace)
        else:
            exec(compile(source, "cell", "exec"), namespace)
    found: list[dict[str, Any]] = []
    if printed.getvalue():
        found.append(
            {"name": "stdout", "output_type": "stream", "text": _lines(printed.getvalue())}
        )
    if value is not None:
        data = {"text/plain": _lines(repr(value))}
        if hasattr(value, "_repr_html_"):
            data = {"text/html": _lines(value._repr_html_()), **data}
        found.append({"data": data, "execution_count": number, "metadata": {},
                      "output_type": "execute_result"})  # fmt: skip
    return found


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def main() -> int:
    """Write the notebooks, or with ``--check`` compare them; 1 if one is not as it would be now."""
    stale = 0
    for path in notebooks():
        before = path.read_text(encoding="utf-8")
        after = executed(before)
        if before != after and "--check" in sys.argv:
            print(f"{path.relative_to(EXAMPLES.parent)} is stale: run scripts/make_examples.py")
            stale = 1
        elif before != after:
            path.write_text(after, encoding="utf-8")
    return stale


if __name__ == "__main__":
    os.environ.setdefault("ARCHSTAT_CACHE", "off")
    raise SystemExit(main())
