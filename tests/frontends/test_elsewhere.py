"""Numbers of inputs that a forward looks at, answered on meta."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from archstat.analyses.operations import operations
from archstat.frontends.aten import MOST_BYTES, Numbers
from archstat.frontends.elsewhere import LOOKED
from archstat.frontends.module import capture

WIDTH, TOKENS = 6, 8
X = torch.rand(1, TOKENS, WIDTH)
HALF = torch.arange(TOKENS).remainder(2).bool()


class Layer(nn.Module):
    """A dense layer on what a function makes of x and a mask."""

    def __init__(self, chosen):
        super().__init__()
        self.dense = nn.Linear(WIDTH, WIDTH)
        self.chosen = chosen

    def forward(self, x, mask):
        return self.dense(self.chosen(x, mask))


def macs_of(chosen, mask):
    graph = capture(Layer(chosen), X, mask=mask)
    assert graph.device == "meta"
    assert graph.notes == (LOOKED,)
    return operations(graph).totals["macs"]


ASKING = {
    "all": lambda x, mask: x if mask.all() else x[:, :1],
    "item": lambda x, mask: x[:, : int(mask.sum().item())],
    "max": lambda x, mask: x[:, : int(mask.long().cumsum(0).max())],
    "masked": lambda x, mask: x[:, mask],
    "nonzero": lambda x, mask: x[:, mask.nonzero().squeeze(-1)],
    "whole nonzero": lambda x, mask: x[:, mask.long().nonzero().squeeze(-1)],
    "where": lambda x, mask: x[:, torch.where(mask)[0]],
    "masked_select": lambda x, mask: x.masked_select(mask[:, None]).view(1, -1, WIDTH),
    "unique": lambda x, mask: x[:, : len(mask.unique())],
    "unique_consecutive": lambda x, mask: x[:, : len(torch.unique_consecutive(mask))],
    "bincount": lambda x, mask: x[:, : int(mask.long().bincount()[-1])],
    "repeated": lambda x, mask: x.repeat_interleave(mask.long(), 1),
    "tolist": lambda x, mask: x[:, : sum(mask.tolist())],
    "in": lambda x, mask: x[:, :1] if False in mask else x,
    "equal": lambda x, mask: x if torch.equal(mask, torch.ones_like(mask)) else x[:, :1],
    "allclose": lambda x, mask: x if torch.allclose(mask.float(), mask.float() * 1) else x[:, :1],
    "branch": lambda x, mask: x if mask.any() and not mask[0] else x[:, :1],
    "inverted": lambda x, mask: x[:, ~mask],
}


@pytest.mark.parametrize("chosen", ASKING.values(), ids=ASKING)
@pytest.mark.parametrize("mask", [HALF, torch.ones(TOKENS, dtype=torch.bool)], ids=["half", "ones"])
def test_numbers_of_a_mask_are_those_of_a_real_run(chosen, mask):
    rows = chosen(X, mask).shape[1]
    assert macs_of(chosen, mask) == rows * WIDTH * WIDTH


def test_mask_of_a_shape_alone_is_of_ones():
    shape = torch.empty(TOKENS, dtype=torch.bool, device="meta")
    assert macs_of(ASKING["masked"], shape) == TOKENS * WIDTH * WIDTH


def test_whole_numbers_named_a_mask_are_ones_and_others_are_ids():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Embedding(100, WIDTH)

        def forward(self, ids, attention_mask):
            return self.table(ids)[:, : int(attention_mask.sum()) + int(ids.max())]

    ids = torch.empty(1, TOKENS, dtype=torch.int64, device="meta")
    graph = capture(Net(), ids, attention_mask=ids)
    assert graph.values[graph.outputs[0]].shape == (1, TOKENS, WIDTH)
    assert graph.notes == (LOOKED,)


def test_model_on_meta_whose_mask_is_asked_needs_no_weights():
    graph = capture(Layer(ASKING["all"]).to("meta"), X, mask=HALF)
    assert operations(graph).totals["macs"] == 1 * WIDTH * WIDTH


def test_mask_nobody_looks_at_leaves_no_note():
    graph = capture(Layer(lambda x, mask: x * mask[:, None]), X, mask=HALF)
    assert graph.notes == ()


def test_users_mask_stays_as_it_was():
    mask = HALF.clone()

    def writes(x, mask):
        mask.fill_(True)
        return x if mask.all() else x[:, :1]

    capture(Layer(writes), X, mask=mask)
    assert mask.equal(HALF)


def test_numbers_that_activations_made_are_not_known():
    chosen = capture(Layer(lambda x, mask: x if x.sum() > 0 and mask.all() else x[:, :1]), X, HALF)
    assert chosen.device == "cpu"


def test_masks_that_are_too_large_are_not_kept():
    numbers = Numbers()
    wide = torch.empty(8192, 8192, dtype=torch.bool, device="meta")
    assert numbers.fits(wide)
    assert wide.nbytes == MOST_BYTES
    assert not numbers.fits(torch.empty(8192, 8193, dtype=torch.bool, device="meta"))
    assert not numbers.fits(torch.empty(8192, device="meta"))


def test_bytes_of_numbers_are_bounded_in_all_and_free_again():
    numbers = Numbers()
    kept = []
    for _ in range(20):
        tensor = torch.empty(8192, 8192, dtype=torch.bool, device="meta")
        # expanded: numbers of this many bytes that take none
        numbers.note(tensor, torch.zeros(1, dtype=torch.bool).expand(8192, 8192))
        kept.append(tensor)
    assert [numbers.of(tensor) is not None for tensor in kept] == [True] * 8 + [False] * 12
    kept.clear()
    del tensor
    assert numbers.fits(torch.empty(8192, 8192, dtype=torch.bool, device="meta"))
