"""The table of aten ops: kinds, names and effects read from the schema."""

from __future__ import annotations

import pytest
import torch

from archstat.analyses import costs
from archstat.frontends import aten, shapes
from archstat.frontends.aten import KIND_OF, plain, signature
from archstat.graph import KINDS

ops = torch.ops.aten


@pytest.mark.parametrize(
    ("overload", "kind"),
    [
        (ops.convolution.default, "conv"),
        (ops.addmm.default, "matmul"),
        (ops.native_batch_norm.default, "norm"),
        (ops.relu_.default, "activation"),
        (ops.max_pool2d_with_indices.default, "pool"),
        (ops.add_.Tensor, "add"),
        (ops.mul.Scalar, "mul"),
        (ops.cat.default, "concat"),
        (ops.split.Tensor, "split"),
        (ops.view.default, "reshape"),
        (ops.constant_pad_nd.default, "pad"),
        (ops.upsample_bilinear2d.vec, "resize"),
        (ops.mean.dim, "reduce"),
        (ops._softmax.default, "softmax"),
        (ops.embedding.default, "embedding"),
        (ops.mkldnn_rnn_layer.default, "recurrent"),
        (ops._scaled_dot_product_flash_attention_for_cpu.default, "attention"),
        (ops.fft_rfft.default, "other"),
    ],
    ids=str,
)
def test_overload_has_the_kind_of_its_name(overload, kind):
    found = signature(overload)
    assert found.kind == kind
    assert found.target == str(overload)


def test_every_kind_is_one_of_the_graphs():
    assert set(KIND_OF.values()) <= set(KINDS)
    assert set(aten._KINDS) <= set(KINDS)


def test_no_name_stands_under_two_kinds():
    names = [name for names in aten._KINDS.values() for name in names.split()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    "names",
    [KIND_OF, costs.PER_OUTPUT, costs.PER_INPUT, costs.FREE, costs.FOLDS, costs.MAX_POOLS,
     costs.AVERAGE_POOLS, costs.ADAPTIVE_AVERAGE_POOLS, costs.ADAPTIVE_MAX_POOLS,
     costs.BATCH_NORMS],
    ids=["kinds", "per output", "per input", "free", "folds", "max pools", "average pools",
         "adaptive averages", "adaptive maxima", "batch norms"],
)  # fmt: skip
def test_every_name_of_a_table_is_an_op_of_torch(names):
    known = {name.split("::")[1].split(".")[0] for name in torch._C._dispatch_get_all_op_names()}
    known |= {name.rstrip("_") for name in known if not name.startswith("__")}
    names = {name.partition("::")[2] or name for name in names}
    known |= {"nms"}  # torchvision's, which need not be there
    assert sorted(name for name in names if name not in known) == []


@pytest.mark.parametrize("target", sorted(aten._RULES))
def test_every_rule_belongs_to_an_overload_that_exists_and_has_a_kind(target):
    name, overload = target.split(".")[1:]
    found = signature(getattr(getattr(ops, name), overload))
    assert found.target == target
    assert found.rule is aten._RULES[target]
    assert found.kind != "other" or name == "pow"


@pytest.mark.parametrize("name", sorted(aten._IN_PLACE_RULED))
def test_in_place_overload_shares_a_rule_and_writes_its_first_argument(name):
    overload = "Tensor" if name in ("add_", "mul_") else "default"
    in_place, plain_one = getattr(getattr(ops, name), overload), getattr(ops, name[:-1])
    # Of two tensors in place, the order in memory is not to be settled.
    own = shapes.onto_first if overload == "Tensor" else signature(plain_one.default).rule
    assert signature(in_place).rule is own is not None
    assert signature(in_place).in_place
    assert signature(in_place).writes


@pytest.mark.parametrize("name", ["relu6_", "clamp_", "copy_", "addmm_", "zero_"])
def test_in_place_op_without_a_rule_is_left_to_torch(name):
    overload = getattr(ops, name).overloads()[0]
    assert signature(getattr(getattr(ops, name), overload)).rule is None


def test_signature_of_the_convolution():
    found = signature(ops.convolution.default)
    assert found.names == ("input", "weight", "bias", "stride", "padding", "dilation",
                           "transposed", "output_padding", "groups")  # fmt: skip
    assert not found.writes
    assert not (found.in_place or found.moves or found.reads_data or found.makes_empty)


def test_signature_of_a_pool_knows_its_axes_and_its_defaults():
    found = signature(ops.max_pool2d_with_indices.default)
    assert found.window_axes == 2
    defaults = {name: default for _, name, default in found.defaults}
    assert defaults.keys() == {"stride", "padding", "dilation", "ceil_mode"}
    assert (defaults["stride"], defaults["ceil_mode"]) == ((), False)
    assert signature(ops._adaptive_avg_pool2d.default).window_axes is None
    assert signature(ops.avg_pool3d.default).window_axes == 3


def test_special_roles_belong_to_one_op_each():
    assert signature(ops._to_copy.default).moves
    assert signature(ops._local_scalar_dense.default).reads_data
    assert signature(ops.empty.memory_format).makes_empty


def test_dunder_op_keeps_its_name():
    found = signature(ops.__lshift__.Scalar)
    assert found.target == "aten.__lshift__.Scalar"
    assert "__lshift__" in costs.FREE


@pytest.mark.parametrize(
    ("argument", "result"),
    [
        (3, 3),
        (None, None),
        (True, True),
        (0.5, 0.5),
        (float("inf"), float("inf")),
        ("none", "none"),
        ([1, [2, 3]], (1, (2, 3))),
        ((1, None), (1, None)),
        (torch.float16, "float16"),
        (torch.strided, "strided"),
        (torch.channels_last, "channels_last"),
        (torch.device("cpu"), "cpu"),
        ([torch.float16], ("float16",)),
    ],
)
def test_argument_becomes_what_json_can_hold(argument, result):
    assert plain(argument) == result
