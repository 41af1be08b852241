"""Networks as others built them: torchvision's classifiers and a model of every timm family.

torchvision publishes multiply-accumulates (in units of 1e9, three decimals) and parameters.
"""

from __future__ import annotations

import importlib.util
import sys
import warnings
from pathlib import Path

import pytest

import archstat

FAST = (
    *("resnet18", "mobilenet_v3_small", "shufflenet_v2_x1_0", "vit_b_16", "swin_t"),
    *("convnext_tiny", "efficientnet_b0", "regnet_y_400mf", "maxvit_t", "googlenet"),
)


@pytest.fixture(scope="module")
def catalogue():
    """The benchmark's own choice of models and torchvision's published figures."""
    path = Path(__file__).parents[2] / "benchmarks" / "catalogue.py"
    spec = importlib.util.spec_from_file_location("benchmark_catalogue", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where its dataclass looks itself up
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.mark.parametrize("name", FAST)
def test_classifier_agrees_with_the_published_figures(torchvision, catalogue, name):
    assert catalogue.captured(f"torchvision:{name}").verdict == "ok"


def test_every_weight_of_a_network_publishes_what_its_resolution_costs(torchvision):
    """Of vit_b_16's three weights one wants 384 pixels, and more position embeddings."""
    from torchvision import models

    for weights in models.get_model_weights("vit_b_16"):
        side = weights.meta["min_size"][0]
        spec = f"torchvision:vit_b_16,image_size={side},resolution={side}"
        totals = archstat.analyze(spec).totals
        assert f"{totals['macs'] / 1e9:.3f}" == f"{weights.meta['_ops']:.3f}"
        assert totals["params"] == weights.meta["num_params"]


def test_googlenet_has_two_heads_that_its_published_parameters_leave_out(torchvision, catalogue):
    from torchvision import models

    weights = models.GoogLeNet_Weights.IMAGENET1K_V1
    plain = archstat.analyze("torchvision:googlenet,aux_logits=false,init_weights=false")
    whole = archstat.analyze("torchvision:googlenet,init_weights=false")
    assert plain.totals["params"] == weights.meta["num_params"]
    heads = whole.totals["params"] - plain.totals["params"]
    assert heads == catalogue.UNPUBLISHED_PARAMS["googlenet"]
    # Each: a 1x1 convolution with batch norm, 2048 x 1024 and 1024 x 1000 layers.
    assert heads == sum(128 * c + 2 * 128 + 2049 * 1024 + 1025 * 1000 for c in (512, 528))


@pytest.mark.slow
def test_all_classifiers_agree_with_the_published_figures(torchvision, catalogue):
    names = catalogue.classifiers()
    rows = [catalogue.captured(f"torchvision:{name}") for name in names]
    assert len(rows) >= 80
    assert [(row.model, row.verdict) for row in rows if row.verdict != "ok"] == []
    assert all(row.published_gmacs and row.published_params for row in rows)


@pytest.mark.slow
def test_a_model_of_each_timm_family_has_no_unknown_op(torchvision, catalogue):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("timm")
        names = catalogue.timm_models()
    rows = [catalogue.captured(f"timm:{name}") for name in names]
    assert [(row.model, row.verdict) for row in rows if row.verdict != "ok"] == []
    assert all(row.macs > 0 and row.params > 0 for row in rows)
