"""Tables audited: the convention of a column, every verdict, and no false alarm."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

from archstat.analyses.conventions.printed import parse_printed
from archstat.models.pipeline import graph_of_spec
from archstat.tables.audit import Verdict, audit, audit_table, typed_for
from archstat.tables.printed_table import printed_table


def audited(*lines, **named):
    return audit(printed_table("\n".join(lines), named), graph_of_spec)


def verdicts(found):
    return [(one.entry.quantity, one.verdict) for one in found.findings]


AGREES, OTHERWISE = Verdict.AGREES, Verdict.OTHERWISE
CANNOT_BE, NOT_KNOWN = Verdict.CANNOT_BE, Verdict.NOT_KNOWN
GOOD = ("Model,Params (M),GFLOPs", "ResNet-18,11.69,1.81", "VGG-16,138.36,15.47",
        "ResNet-34,21.80,3.66")  # fmt: skip


def test_table_of_papers_agrees_and_names_its_convention():
    found = audited(*GOOD)
    assert {one.verdict for one in found.findings} == {AGREES}
    assert {one.spec for one in found.findings} == {"resnet18", "vgg16", "resnet34"}
    assert "GFLOPs: 3 of 3 figures are macs (papers" in found.notes[1]
    assert not found.has_impossible


def test_row_that_counts_otherwise_names_its_convention():
    last = audited(*GOOD, "ResNet-50,25.56,4.12").findings[-1]
    assert (last.verdict, last.convention.key) == (OTHERWISE, "FLOPs of mmcv")


def test_swapped_columns_cannot_be():
    lines = ("Model,Params,FLOPs", "ResNet-18,11.69M,1.81G", "RegNetX-3.2GF,3.18G,15.30M")
    found = audited(*lines)
    assert verdicts(found)[2:] == [("params", CANNOT_BE), ("flops", CANNOT_BE)]
    assert all("swapped" in one.remark for one in found.findings[2:])
    assert found.has_impossible


def test_swapped_columns_with_a_slipped_point_cannot_be():
    last = audited(*GOOD, "regnetx-3.2gf_8xb64_in1k,,1.53").findings[-1]
    assert last.verdict is CANNOT_BE
    assert last.remark.startswith("params: 15.30 M: the columns are swapped")


# open-mmlab/mmpretrain configs/resnet/metafile.yml and configs/regnet/metafile.yml, as they stand
MMPRETRAIN = ("Name,FLOPs,Parameters", "resnet18_8xb32_in1k,1820000000,11690000",
              "resnet34_8xb32_in1k,3680000000,2180000", "resnet50_8xb32_in1k,4120000000,25560000",
              "regnetx-400mf_8xb128_in1k,410000000,5160000",
              "regnetx-3.2gf_8xb64_in1k,1530000000,3210000")  # fmt: skip


def test_misprints_of_mmpretrain_are_named_and_nothing_else():
    found = audited(*MMPRETRAIN)
    wrong = [(one.spec, one.entry.quantity) for one in found.findings if one.verdict is CANNOT_BE]
    assert wrong == [("resnet34", "params"), ("regnet_x_3_2gf", "params"),
                     ("regnet_x_3_2gf", "flops")]  # fmt: skip
    assert {one.verdict for one in found.findings} == {AGREES, CANNOT_BE}
    shown = [one.value for one in found.findings if one.verdict is CANNOT_BE]
    assert shown[0] * 10 == 21_797_672  # the parameters of ResNet-34
    assert shown[2] * 10 == 15_296_552 * 10**3  # the point is elsewhere, too


@pytest.mark.slow
def test_swapped_columns_of_repvgg_b0_are_named(torchvision):
    pytest.importorskip("timm")  # open-mmlab/mmpretrain configs/repvgg/metafile.yml
    found = audited(
        "Name,spec,FLOPs,Parameters", "A0,timm:repvgg_a0,1.52 G,9.11 M",
        "A1,timm:repvgg_a1,2.64 G,14.09 M", "B0,timm:repvgg_b0,15.82 G,3.42 M",
    )  # fmt: skip
    assert [one.verdict for one in found.findings] == [AGREES] * 4 + [CANNOT_BE] * 2
    assert [one.convention.quantity for one in found.findings[4:]] == ["macs", "params"]


def test_figure_at_another_input_than_its_row_says_cannot_be():
    found = audited(
        "Model,Input,OPS (G)", "SqueezeNet1.1,224x224x3,0.775", "ResNet-18,224x224x3,3.628",
        "ResNet-34,224x224x3,7.328",
    )  # fmt: skip
    assert [one.verdict for one in found.findings] == [CANNOT_BE, AGREES, AGREES]
    first = found.findings[0]
    assert (first.input, first.convention.key) == ("1x3x227x227", "2 x macs")
    assert first.value == 2 * 387_747_520


def test_slipped_point_cannot_be():
    last = audited(*GOOD[:3], "resnet34,2.18,").findings[-1]
    assert last.verdict is CANNOT_BE
    assert last.remark.startswith("a tenth of params")


@pytest.mark.parametrize(
    ("macs", "remark"),
    [("4.69", "4.09 G with a digit wrong"), ("8.91", ""), ("15.47", "the figure of VGG-16")],
)
def test_slip_of_the_hand_is_told_from_what_nobody_knows(macs, remark):
    last = audited(*GOOD, f"ResNet-50,25.56,{macs}").findings[-1]
    assert last.verdict is (CANNOT_BE if remark else NOT_KNOWN)
    assert last.remark.startswith(remark or "nearest is ")


def test_model_that_nobody_knows_is_not_known():
    last = audited(*GOOD, "Our Net,1.00,1.00").findings[-1]
    assert (last.verdict, last.spec, last.value) == (NOT_KNOWN, "", None)


def test_spec_of_a_column_goes_before_the_name():
    found = audited("Model,spec,Params", 'Ours,"resnet18,num_classes=10",11.18M')
    assert verdicts(found) == [("params", AGREES)]


def test_spec_that_does_not_build_is_not_known_and_says_why():
    found = audited("Model,spec,Params", "Ours,nothing_like_it,11.18M", "B,lenet5,60K")
    assert found.findings[0].verdict is NOT_KNOWN
    assert "nothing_like_it" in found.findings[0].remark


def test_input_of_a_row_is_what_it_is_counted_at():
    found = audited("Model,Input,MACs", "ResNet-18,256,2.37G", "ResNet-18,224x224,1.81G")
    assert verdicts(found) == [("macs", AGREES)] * 2
    assert [one.input for one in found.findings] == ["1x3x256x256", "1x3x224x224"]


def test_column_without_a_unit_is_read_in_the_one_that_fits_and_says_so():
    found = audited("Model,Params,MACs", "ResNet-18,11.69,1814", "VGG-16,138.36,15470")
    assert {one.verdict for one in found.findings} == {AGREES}
    assert "Params names no unit: read as millions." in found.notes
    assert "MACs names no unit: read as millions." in found.notes


def test_sources_of_a_long_table_have_conventions_of_their_own():
    found = audited(
        "model,source,quantity,value,unit",
        *("ResNet-50,a,FLOPs,4.12,G", "ResNet-18,a,FLOPs,1.82,G", "VGG-16,a,FLOPs,15.50,G"),
        *("ResNet-50,b,FLOPs,4.09,G", "ResNet-18,b,FLOPs,1.81,G"),
    )
    assert {one.verdict for one in found.findings} == {AGREES}
    assert [note.partition(" figures")[0] for note in found.notes[:2]] == [
        "a, FLOPs: 3 of 3", "b, FLOPs: 2 of 2",
    ]  # fmt: skip


def test_table_has_a_row_a_figure_with_a_tone():
    table = audit_table(audited(*GOOD))
    assert len(table) == 6
    assert {cell.tone for cell in table.column("verdict")} == {"good"}
    assert table.column("line") == (2, 2, 3, 3, 4, 4)


@pytest.mark.parametrize(
    ("printed", "exact", "typo"),
    [("4.69", 4_089_000_000, "4.09 G"), ("4.98", 4_890_000_000, "4.89 G"), ("4.08", 4_089_000_000,
     ""), ("4.1", 5_100_000_000, ""), ("8.91", 4_089_000_000, ""), ("40.9", 4_089_000_000, "")],
)  # fmt: skip
def test_typo_is_one_digit_but_the_last_of_at_least_three(printed, exact, typo):
    assert typed_for(parse_printed(f"{printed}G"), exact) == typo


@pytest.mark.slow
def test_torchvisions_own_table_has_no_false_alarm(torchvision):
    models = torchvision.models
    lines = ["Weight,Params,GFLOPS"]
    for name in models.list_models(module=models):
        for weights in models.get_model_weights(name):
            meta = weights.meta
            lines.append(f"{weights},{meta['num_params']},{meta['_ops']}")
    found = audited(*lines)
    known = [one for one in found.findings if one.spec]
    assert len({one.row.model for one in known}) >= 80
    assert [one for one in known if one.verdict is CANNOT_BE] == []
