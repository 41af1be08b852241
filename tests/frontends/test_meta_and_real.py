"""A network counts the same whether its shapes or its numbers run through it."""

from __future__ import annotations

import importlib
import warnings

import pytest
import torch

from archstat import zoo
from archstat.analyses.depth import depth
from archstat.analyses.memory import live_bytes
from archstat.analyses.operations import operations
from archstat.frontends.module import capture_on

# One or two of many families, which run by default.
_QUICK = """
    lenet5 squeezenet1_1 mobilenet_v2 mobilenet_v3_small shufflenet_v2_x0_5 ghostnet resnet18
    preact_resnet20_cifar10 seresnet18 cbam_resnet18 convnext_tiny
"""
_TIMM = """
    convnext_atto deit_tiny_patch16_224 edgenext_xx_small efficientvit_b0 fastvit_t8
    ghostnet_050 levit_128s mixer_s32_224 mobilevit_xxs mvitv2_tiny pit_ti_224 poolformer_s12
    pvt_v2_b0 regnetx_002 repghostnet_050 resnetv2_18 swin_tiny_patch4_window7_224
    twins_svt_small vit_tiny_patch16_224 xcit_nano_12_p8_224
"""


def _networks() -> list[object]:
    quick = _QUICK.split()
    every = [name for name, entry in zoo.catalogue().items() if entry.macs < 1_000_000_000]
    return [
        pytest.param(name, marks=() if name in quick else pytest.mark.slow)
        for name in dict.fromkeys((*quick, *every))
    ]


def agree(model: torch.nn.Module, shape: tuple[int, ...]) -> None:
    """Compare a pass of shapes with one of numbers, which may rename elements otherwise."""
    model.eval()
    image = torch.rand(2, *shape)
    meta, real = (
        capture_on(torch.device(device), model, (image,), {}, "model") for device in ("meta", "cpu")
    )
    assert operations(meta).totals == operations(real).totals
    assert live_bytes(meta) == live_bytes(real)
    assert depth(meta).totals == depth(real).totals


@pytest.mark.parametrize("name", _networks())
def test_network_of_the_zoo_counts_the_same_on_meta_and_for_real(name):
    entry = zoo.entry(name)
    agree(zoo.build(name), tuple(map(int, entry.input.split("x"))))


@pytest.mark.slow
@pytest.mark.extras
@pytest.mark.parametrize("name", _TIMM.split())
def test_model_of_timm_counts_the_same_on_meta_and_for_real(torchvision, name):
    timm = importlib.import_module("timm")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = timm.create_model(name)
    agree(model, model.pretrained_cfg["input_size"])
