"""Walking nested arguments and results."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict, namedtuple
from typing import Any

import pytest
import torch

from archstat.frontends.trees import replaced, tensors

A, B, C = torch.zeros(1), torch.zeros(2), torch.zeros(3)
Pair = namedtuple("Pair", "first second")


@dataclasses.dataclass
class Result:
    scores: torch.Tensor
    extra: Any = None


@pytest.mark.parametrize(
    ("tree", "found"),
    [
        (A, [A]),
        (torch.nn.Parameter(A), None),
        ([], []),
        (None, []),
        ("text", []),
        (b"bytes", []),
        ((A, [B, {"c": C}]), [A, B, C]),
        (OrderedDict(z=A, a=B), [A, B]),
        (Pair(A, (B,)), [A, B]),
        (Result(A, {"b": [B]}), [A, B]),
        (Result, []),
        ({A}, [A]),
        ([A, A], [A, A]),
        ((3, "x", A, None, 2.5), [A]),
    ],
)
def test_tensors_are_found_in_order(tree, found):
    expected = [tree] if found is None else found
    assert [id(tensor) for tensor in tensors(tree)] == [id(tensor) for tensor in expected]


def test_replacing_keeps_the_nesting_and_everything_else():
    tree = (A, [B, {"c": C, "n": 1}], Pair(A, "x"), None, 2.5)
    result = replaced(tree, lambda tensor: tensor + tensor.numel())
    assert [tensor.tolist() for tensor in tensors(result)] == [[1], [2, 2], [3, 3, 3], [1]]
    assert type(result[2]) is Pair
    assert result[1][1]["n"] == 1
    assert result[3:] == (None, 2.5)


def test_replacing_leaves_the_given_tree_alone():
    inner = {"c": C}
    replaced([A, inner], lambda tensor: B)
    assert inner["c"] is C


@pytest.mark.parametrize(
    "tree", [OrderedDict(a=A), Result(A, [B]), {"deep": Result(A)}], ids=["mapping", "data", "both"]
)
def test_replacing_reaches_every_tensor_that_is_found(tree):
    result = replaced(tree, lambda tensor: tensor.to("meta"))
    assert type(result) is type(tree)
    assert all(tensor.is_meta for tensor in tensors(result))
    assert not any(tensor.is_meta for tensor in tensors(tree))
