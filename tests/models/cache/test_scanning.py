"""What sources import, and which of a user's are dynamic."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import archstat
from archstat.models.cache.scanning import Import, is_harmless, own_imports, users_imports

PACKAGE = Path(archstat.__file__).parent
NET = (
    "from torch import nn\n\nclass Net(nn.Module):\n    def forward(self, x):\n        return {}\n"
)


def parsed_imports(source: str) -> set[str]:
    """What the parser finds imported of archstat."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "the pattern knows no relative import"
            found |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name for name in found if name.partition(".")[0] == "archstat"}


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.relative_to(PACKAGE).as_posix()
)
def test_pattern_finds_every_import_that_the_parser_finds(path):
    source = path.read_text(encoding="utf-8")
    assert parsed_imports(source) <= own_imports(source.encode())


def test_imports_are_found_wherever_they_stand():
    source = (
        b"import math, torch.nn as nn\ndef f():\n    from .a import b, c\n    from . import d\n"
    )
    assert users_imports(source) == (
        Import("math"), Import("torch.nn"), Import("a", ("b", "c"), 1), Import("", ("d",), 1)
    )  # fmt: skip


@pytest.mark.parametrize(
    "expression",
    ["x", "nn.functional.relu(x)", "x.view(x.shape[0], -1)", "getattr(nn, 'ReLU')()(x)",
     "self.layers[0](x) + super().forward(x)", "torch.cat([x, x], 1)", "x.mean((2, 3))"],
)  # fmt: skip
def test_common_code_is_not_dynamic(expression):
    assert users_imports(NET.format(expression).encode()) is not None


@pytest.mark.parametrize(
    "line",
    ["open('widths.txt')", "eval('1')", "exec('x = 1')", "__import__('os')", "torch.load('w.pt')",
     "torch.hub.load('a', 'b')", "torch.cuda.is_available()", "torch.rand(1)", "x.random_()",
     "torch.randint(3, (1,)).item()", "torch.set_default_dtype(torch.float64)",
     "nn.Conv2d.forward = None", "torch.backends.mkldnn.enabled = False", "nn.x.y[0].z = 1",
     "torch.os.environ['WIDTH']", "Net.width += 1", "setattr(nn, 'ReLU', None)", "globals()",
     "print(__file__)", "().__class__.__subclasses__()", "nn.__builtins__", "hash('a')", "id(nn)",
     "del nn.Conv2d", "timm.create_model('resnet18', pretrained=True)", "torch.initial_seed()",
     "timm.create_model('hf-hub:someone/model')", "torch.ops.mine.op(x)", "from torch import hub",
     "nn.modules.module.register_module_forward_hook(print)", "from torch import rand as r",
     "def f():\n    global width\n    width = 3"],
)  # fmt: skip
def test_what_more_than_sources_decide_is_dynamic(line):
    assert users_imports(f"import torch\nfrom torch import nn\n{line}\n".encode()) is None


@pytest.mark.parametrize("source", [b"def f(:\n", b"\0", b"\xff", b"-" * 100_000 + b"1"])
def test_what_does_not_parse_is_dynamic(source):
    assert users_imports(source) is None


@pytest.mark.parametrize("module", ["math", "collections.abc", "torch", "torch.nn.functional"])
def test_modules_known_by_versions(module):
    assert is_harmless(module)


@pytest.mark.parametrize("module", ["os", "random", "time", "numpy", "torch.hub", "torchx",
                                    "torch.utils.cpp_extension", "importlib"])  # fmt: skip
def test_modules_that_no_version_covers(module):
    assert not is_harmless(module)
