"""Attention in every form torch has, on meta and where a fused kernel runs it for real on cpu."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from archstat.frontends.module import capture

# batch, heads, queries, keys, channels of a head, width of a layer, width of its hidden layer
N, H, L, S, E, D, HIDDEN = 2, 4, 50, 30, 16, 64, 128


def attention(queries, keys, key_width=E, value_width=E, heads=H):
    """Multiply-accumulates of scores and of their product with the values."""
    return N * heads * queries * keys * (key_width + value_width)


class WrittenOut(nn.Module):
    """Attention as q @ k and a @ v."""

    def forward(self, q, k, v):
        return (q @ k.transpose(-2, -1) * E**-0.5).softmax(-1) @ v


class Fused(nn.Module):
    """torch's scaled dot product attention under fixed options."""

    def __init__(self, **options):
        super().__init__()
        self.options = options

    def forward(self, q, k, v, attn_mask=None):
        return F.scaled_dot_product_attention(q, k, v, attn_mask=attn_mask, **self.options)


def heads(length, width=E, number=H):
    return torch.rand(N, number, length, width)


PRODUCTS = [
    ("written out", WrittenOut(), (heads(L), heads(L), heads(L)), attention(L, L)),
    ("fused", Fused(), (heads(L), heads(L), heads(L)), attention(L, L)),
    ("causal", Fused(is_causal=True), (heads(L), heads(L), heads(L)), attention(L, L)),
    ("boolean mask", Fused(), (heads(L), heads(L), heads(L), torch.ones(L, L).bool()),
     attention(L, L)),
    ("additive mask", Fused(), (heads(L), heads(L), heads(L), torch.zeros(L, L)), attention(L, L)),
    ("own scale", Fused(scale=0.5), (heads(L), heads(L), heads(L)), attention(L, L)),
    ("cross", Fused(), (heads(L), heads(S), heads(S)), attention(L, S)),
    ("cross, narrow values", Fused(), (heads(L), heads(S), heads(S, 8)), attention(L, S, E, 8)),
    ("cross, wide values", Fused(), (heads(L), heads(S), heads(S, 24)), attention(L, S, E, 24)),
    ("grouped queries", Fused(enable_gqa=True), (heads(L, number=8), heads(S), heads(S)),
     attention(L, S, heads=8)),
    ("one query", Fused(), (heads(1), heads(L), heads(L)), attention(1, L)),
]  # fmt: skip
PRODUCT = pytest.mark.parametrize(
    ("module", "arguments", "macs"), [row[1:] for row in PRODUCTS], ids=[r[0] for r in PRODUCTS]
)


@PRODUCT
def test_attention_takes_scores_and_their_product_with_the_values(
    module, arguments, macs, totals
):
    found = totals(module, *arguments)
    assert found["macs"] == macs
    assert found["unknown_ops"] == 0


@PRODUCT
def test_attention_that_runs_for_real_costs_the_same(module, arguments, macs, totals, looking):
    found = totals(looking(module), *arguments)
    assert found["macs"] == macs
    assert found["unknown_ops"] == 0


PROJECTIONS = N * (L + 2 * S + L) * D * D
SELF_PROJECTIONS = N * 4 * L * D * D
BIASED = nn.MultiheadAttention(D, H, batch_first=True)
LAYERS = [
    ("self", BIASED, (L, L, L), SELF_PROJECTIONS + attention(L, L)),
    ("cross", BIASED, (L, S, S), PROJECTIONS + attention(L, S)),
    ("without bias", nn.MultiheadAttention(D, H, bias=False, batch_first=True), (L, L, L),
     SELF_PROJECTIONS + attention(L, L)),
    ("with a bias of keys", nn.MultiheadAttention(D, H, add_bias_kv=True, batch_first=True),
     (L, L, L), SELF_PROJECTIONS + attention(L, L + 1)),
]  # fmt: skip
LAYER = pytest.mark.parametrize(
    ("layer", "lengths", "macs"), [row[1:] for row in LAYERS], ids=[row[0] for row in LAYERS]
)


@LAYER
@pytest.mark.parametrize("need_weights", [True, False])
def test_multihead_attention_takes_projections_and_attention(
    layer, lengths, macs, need_weights, totals, looking
):
    same = torch.rand(N, L, D)
    arguments = (same, same, same) if len(set(lengths)) == 1 else _sequences(lengths)
    for module in (layer, layer.eval(), looking(layer)):
        found = totals(module, *arguments, need_weights=need_weights)
        assert found["macs"] == macs
        assert found["unknown_ops"] == 0
        assert found["params"] == sum(p.numel() for p in layer.parameters())


def test_multihead_attention_with_sizes_of_their_own_for_keys_and_values(totals, looking):
    layer = nn.MultiheadAttention(D, H, kdim=32, vdim=16, batch_first=True)
    arguments = (torch.rand(N, L, D), torch.rand(N, S, 32), torch.rand(N, S, 16))
    macs = N * (L * D * D + S * 32 * D + S * 16 * D + L * D * D) + attention(L, S)
    assert totals(layer, *arguments)["macs"] == macs
    assert totals(looking(layer), *arguments)["macs"] == macs


def test_multihead_attention_with_the_sequence_first(totals, looking):
    layer, x = nn.MultiheadAttention(D, H), torch.rand(L, N, D)
    macs = SELF_PROJECTIONS + attention(L, L)
    assert totals(layer, x, x, x)["macs"] == macs
    assert totals(looking(layer), x, x, x)["macs"] == macs


ENCODER_LAYER = SELF_PROJECTIONS + attention(L, L) + N * 2 * L * D * HIDDEN
ENCODERS = [
    ("post-norm", {}),
    ("pre-norm", {"norm_first": True}),
    ("gelu", {"activation": "gelu"}),
    ("without bias", {"bias": False}),
]


@pytest.mark.parametrize("options", [row[1] for row in ENCODERS], ids=[row[0] for row in ENCODERS])
def test_transformer_encoder_counts_the_same_in_train_eval_and_for_real(options, totals, looking):
    layer = nn.TransformerEncoderLayer(D, H, HIDDEN, batch_first=True, **options)
    encoder = nn.TransformerEncoder(layer, num_layers=2, enable_nested_tensor=False)
    x = torch.rand(N, L, D)
    for module in (encoder.train(), encoder.eval(), looking(encoder)):
        found = totals(module, x)
        assert found["macs"] == 2 * ENCODER_LAYER
        assert found["unknown_ops"] == 0


def test_flops_of_an_encoder_are_the_same_in_train_and_eval_mode(totals):
    layer = nn.TransformerEncoderLayer(D, H, HIDDEN, batch_first=True)
    encoder, x = nn.TransformerEncoder(layer, num_layers=2), torch.rand(N, L, D)
    assert totals(encoder.train(), x) == totals(encoder.eval(), x)


def test_flops_of_a_fused_encoder_differ_from_the_decomposed_ones_by_scalings_alone(
    totals, looking
):
    layer, x = nn.TransformerEncoderLayer(D, H, HIDDEN, batch_first=True), torch.rand(N, L, D)
    decomposed, fused = totals(layer, x)["flops"], totals(looking(layer.eval()), x)["flops"]
    scalings = 3 * N * L * D
    assert abs(decomposed - fused) <= scalings


def test_encoder_is_as_deep_for_real_as_on_meta(totals, looking):
    layer = nn.TransformerEncoderLayer(D, H, HIDDEN, batch_first=True)
    encoder, x = nn.TransformerEncoder(layer, num_layers=2).eval(), torch.rand(N, L, D)
    assert totals(encoder, x)["depth"] == 2 * (2 + 2)
    assert totals(looking(encoder), x)["depth"] == 2 * (2 + 2)


def test_transformer_decoder_adds_cross_attention(totals, looking):
    layer = nn.TransformerDecoderLayer(D, H, HIDDEN, batch_first=True)
    arguments = (torch.rand(N, L, D), torch.rand(N, S, D))
    macs = ENCODER_LAYER + PROJECTIONS + attention(L, S)
    assert totals(layer, *arguments)["macs"] == macs
    assert totals(looking(layer), *arguments)["macs"] == macs


def test_activations_of_attention_are_its_scores_and_its_result(totals, looking):
    arguments = (heads(L), heads(S), heads(S))
    made = N * H * L * S + N * H * L * E
    for module in (WrittenOut(), Fused(), looking(Fused())):
        assert totals(module, *arguments)["activations"] == made


def test_attention_between_activations_is_a_product_and_projections_are_layers():
    x = torch.rand(N, L, D)
    graph = capture(nn.MultiheadAttention(D, H, batch_first=True), x, x, x)
    kinds = [op.kind for op in graph.ops]
    assert kinds.count("matmul") == 2
    assert kinds.count("linear") == 2


def _sequences(lengths):
    return tuple(torch.rand(N, length, D) for length in lengths)
