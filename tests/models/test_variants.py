"""Variants of a network: real modules, the same shapes, cheaper by what the formulas say."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from archstat import compare, zoo
from archstat.errors import SpecError
from archstat.frontends.module import capture
from archstat.models.pipeline import analyze_variants
from archstat.models.variants import VARIANTS, StridedConvolution, Variation

SEPARABLE, GROUPED, FACTORISED, STRIDED = VARIANTS


class Mine(nn.Module):
    """A plain network of a user's, with a layer used twice and one of its own kind."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(4, 8, 3, stride=2, padding=1)
        self.twice = nn.Conv2d(8, 8, 3, padding="same", padding_mode="reflect")
        self.pool = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.grouped = nn.Conv2d(8, 8, 3, padding=1, groups=2)
        self.fc = nn.Linear(8, 5)

    def forward(self, x):
        x = self.twice(self.twice(self.conv1(x)))
        return self.fc(self.grouped(self.pool(x)).mean((2, 3)))


def varied(variant, network, *shape):
    variation = Variation(variant, capture(network, torch.empty(1, *shape)))
    return variation(network), variation.changed


@pytest.mark.parametrize(
    ("variant", "changed", "params"),
    [
        (SEPARABLE, 2, (4 * 9 + 4 * 8 + 8) + (8 * 9 + 8 * 8 + 8)),
        (GROUPED, 2, (4 * 8 * 9 // 4 + 8) + (8 * 8 * 9 // 4 + 8)),
        (FACTORISED, 2, (4 * 8 * 3 + 8 * 8 * 3 + 8) + (2 * 8 * 8 * 3 + 8)),
        (STRIDED, 1, (4 * 8 * 9 + 8) + (8 * 8 * 9 + 8) + 8 * 8 * 9),
    ],
)
def test_users_module_is_changed_in_a_copy(variant, changed, params, count_params):
    network = Mine()
    before = {name: id(value) for name, value in network.state_dict(keep_vars=True).items()}
    copy, count = varied(variant, network, 4, 17, 17)
    rest = 8 * 8 * 9 // 2 + 8 + 8 * 5 + 5
    assert (count, count_params(copy)) == (changed, params + rest)
    image = torch.randn(2, 4, 17, 17)
    assert copy(image).shape == network(image).shape == (2, 5)
    assert before == {n: id(v) for n, v in network.state_dict(keep_vars=True).items()}
    assert copy.fc.weight is network.fc.weight


@pytest.mark.parametrize("name", ["vgg11", "resnet18", "googlenet", "squeezenet1_0"])
@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_every_module_keeps_its_output_shape(name, variant, on_meta):
    network = on_meta(zoo.factory(name))
    image = torch.empty(1, 3, 65, 97, device="meta")
    copy, changed = varied(variant, network, 3, 65, 97)
    assert changed
    shapes = {}
    for root in (network.eval(), copy.eval()):
        seen = [
            module.register_forward_hook(
                lambda _, __, out, path=path, root=root: shapes.setdefault(path, {}).update(
                    {id(root): out.shape}
                )
            )
            for path, module in root.named_modules()
        ]
        root(image)
        for hook in seen:
            hook.remove()
    both = [list(found.values()) for found in shapes.values() if len(found) == 2]
    assert len(both) > 10
    assert all(mine == theirs for mine, theirs in both)


@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [(2, 2, 0), (3, 2, 1), (3, 3, 0), (2, 3, 1)]
)
def test_strided_convolution_keeps_the_shape_of_pooling(kernel, stride, padding, ceil_mode):
    pool = nn.MaxPool2d(kernel, stride, padding, ceil_mode=ceil_mode)
    for high in range(5, 12):
        image = torch.randn(1, 3, high, 7)
        copy, changed = varied(STRIDED, nn.Sequential(pool), 3, high, 7)
        assert changed == 1
        assert type(copy[0]) is StridedConvolution
        assert copy(image).shape == pool(image).shape


def test_variant_follows_dtype_and_mode():
    network = Mine().double().eval()
    for variant in VARIANTS:
        graph = capture(network, torch.empty(1, 4, 17, 17, dtype=torch.float64))
        copy = Variation(variant, graph)(network)
        assert {p.dtype for p in copy.parameters()} == {torch.float64}
        assert not any(module.training for module in copy.modules())


def test_comparison_has_a_row_a_variant():
    table = compare(["vgg16"], variants=True)
    assert table.column("model") == ("vgg16", *(f"vgg16 ({v.name})" for v in VARIANTS))
    assert table.column("macs_ratio")[0] == 1
    assert table.column("macs_ratio")[1] < 0.13


def test_reference_is_found_behind_other_variants():
    table = compare(["vgg11", "mobilenet_v1"], variants=True, reference="mobilenet_v1")
    assert table.column("model")[table.reference] == "mobilenet_v1"


def test_variant_that_changes_nothing_is_a_note_not_a_row():
    table = compare(["mobilenet_v1"], variants=True)
    assert "mobilenet_v1 (4 groups)" not in table.column("model")
    (grouped, strided) = map(str, table.notes)
    assert grouped.startswith("mobilenet_v1 (4 groups) has no row: there is no standard")
    assert strided.endswith("there is no pooling layer with a stride to change.")


def test_variant_that_cannot_run_is_a_note():
    class Reading(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(4, 4, 3)

        def forward(self, x):
            return nn.functional.conv2d(x, self.conv.weight)

    (own,) = analyze_variants(Reading(), (4, 8, 8))
    notes = [finding.text for finding in own.findings]
    assert len(notes) == len(VARIANTS)
    assert "(depthwise-separable) has no row, since it does not run" in notes[0]


def test_graph_has_no_variants():
    with pytest.raises(SpecError, match="give the model itself"):
        analyze_variants(capture(Mine(), torch.empty(1, 4, 17, 17)))
