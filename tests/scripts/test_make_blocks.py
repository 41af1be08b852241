"""README.md and docs/ show what their commands print; a changed line of either is found."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
import make_blocks  # noqa: E402

RUN = ("console", "python", "pycon")
PAGES = [
    page
    for page in make_blocks.PAGES
    if any(found[1] in RUN for found in make_blocks.BLOCK.finditer(page.read_text("utf-8")))
]


@pytest.mark.slow
# A page writes an ONNX file without onnxscript, which torch calls the older way.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page_shows_what_its_commands_print(page, request):
    text = page.read_text(encoding="utf-8")
    if "$ archstat compare hf:" in text and importlib.util.find_spec("transformers"):
        request.getfixturevalue("torchvision")  # which transformers imports
    assert make_blocks.replayed(page) == text


def test_what_needs_transformers_stays_without_it(tmp_path, monkeypatch):
    monkeypatch.setattr(make_blocks, "has_transformers", lambda: False)
    page = tmp_path / "page.md"
    page.write_text("```console\n$ archstat compare hf:bert\n1 G\n```", encoding="utf-8")
    assert make_blocks.replayed(page) == page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("```console\n$ archstat rf --layers 3x3,3q\nnothing\n```", "unexpected 'q'"),
        ("```pycon\n>>> 2 * 3\n7\n```", ">>> 2 * 3\n6\n```"),
        (
            '```python title="x.py"\nX = 1\n```\n'
            '```pycon\n>>> from pathlib import Path\n>>> Path("x.py").read_text()\n```',
            "'X = 1\\n'",
        ),
    ],
)
def test_block_is_run_again(tmp_path, shown, printed):
    page = tmp_path / "page.md"
    page.write_text(shown, encoding="utf-8")
    assert printed in make_blocks.replayed(page)
    assert make_blocks.replayed(page) != shown


def test_measured_output_stays(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```console\n$ archstat bench vgg16 --budget 1s\n1 ms\n```", encoding="utf-8")
    assert make_blocks.replayed(page) == page.read_text(encoding="utf-8")


def test_python_of_a_page_that_fails_is_an_error(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```python\nassert 1 == 2\n```", encoding="utf-8")
    with pytest.raises(AssertionError):
        make_blocks.replayed(page)


def test_session_leaves_the_process_as_it_was(tmp_path):
    before = (Path.cwd(), list(sys.argv), list(sys.path))
    with make_blocks.session():
        assert Path.cwd() != before[0]
    assert (Path.cwd(), list(sys.argv), list(sys.path)) == before
