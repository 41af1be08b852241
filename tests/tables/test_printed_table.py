"""Tables as people make them: delimiters, heads, units, marks; and what is refused."""

from __future__ import annotations

import csv
import io
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archstat.errors import SpecError
from archstat.tables.printed_table import printed_table, quantity_in, text_of, unit_in


def values(text, **named):
    """The figures of a table by model and quantity."""
    rows = printed_table(text, named).rows
    return {(row.model, e.quantity): e.printed.value for row in rows for e in row.entries}


RESNET = {("ResNet-50", "params"): Fraction(25_600_000), ("ResNet-50", "flops"): Fraction(4.1e9)}


@pytest.mark.parametrize(
    "text",
    [
        "Model,Params (M),FLOPs (G)\nResNet-50,25.6,4.1\n",
        "\ufeffModel,#Params [M],FLOPs (B)\r\nResNet-50,25.6,4.1\r\n",
        "Model;Params, M;FLOPs, G\nResNet-50;25,6;4,1\n",
        "model\tparams_millions\tgflops\nResNet-50\t25.6\t4.1\n",
        "| Model | Params | FLOPs |\n|:---|---:|---|\n| ResNet-50 | ~25.6M | 4.1 GFLOPs |\n",
        "Model,Params,FLOPs\nResNet-50,25.6 M*,4.1\u00a0G [3]\n",
        'Model,Params,FLOPs\nResNet-50,"25,600,000","4,100,000,000"\n',
        "Model,Params (M),FLOPs (G)\nResNet-50,25600000,4100000000\n",
        "Our results\nModel,Params (M),GFLOPs,Top-1\nResNet-50,25.6,4.1,76.1%\n",
        ",Cost,\nModel,Params (M),GFLOPs\nResNet-50,25.6,4.1\n",
        "Model,Cost,\n,Params (M),GFLOPs\nResNet-50,25.6,4.1\n",
        "Model,Params,FLOPs\n,(M),(G)\nResNet-50,25.6,4.1\n",
        "Model,Params (1e6),FLOPs (10^9)\n[ResNet-50](https://x.org/y),25.6,\uff14.1\n",
        "model,quantity,value,unit,archstat_macs\nResNet-50,Params,25.6,M,7\nResNet-50,FLOPs,4.1,G,7\n",
    ],
)
def test_table_is_read_whatever_its_signs(text):
    assert values(text) == pytest.approx(RESNET)


@pytest.mark.parametrize("cell", ["", " ", "N/A", "n/a", "-", "\u2013", "nan", "?", "None"])
def test_cell_that_holds_nothing_is_no_figure(cell):
    table = printed_table(f"Model,Params (M)\nA,{cell}\nB,25.6\n")
    assert [len(row.entries) for row in table.rows] == [0, 1]
    assert table.unread == ()


@pytest.mark.parametrize("cell", ["71.3%", "5.7~5.9", "abc", "4.1.2"])
def test_cell_that_is_no_figure_is_named(cell):
    table = printed_table(f"Model,Params (M)\nA,{cell}\nB,25.6\n")
    assert table.unread == (f"line 2, Params (M): {cell!r}",)


def test_rows_keep_their_lines_and_models_may_stand_twice():
    table = printed_table("Model,Params\n\nA,1M\n,,\nA,2M\n")
    assert [(row.line, row.model) for row in table.rows] == [(3, "A"), (5, "A")]


def test_columns_are_named_by_their_words():
    found = values(
        "Net,Cost,Weights (M)\nA,4.1,25.6\n", model="net", flops="Cost", params="Weights (M)"
    )
    assert found == {("A", "flops"): Fraction(41, 10), ("A", "params"): 25_600_000}


def test_every_column_of_figures_is_read():
    row = printed_table("Model,FLOPs@224 (G),FLOPs@384 (G)\nA,1.8,5.3\n").rows[0]
    assert [entry.column for entry in row.entries] == ["FLOPs@224 (G)", "FLOPs@384 (G)"]


def test_unit_is_missing_only_where_neither_head_nor_cell_names_one():
    row = printed_table("Model,Params,FLOPs (G),MACs\nA,25.6,4.1,4.1 G\n").rows[0]
    found = {entry.quantity: entry.has_unit for entry in row.entries}
    assert found == {"params": False, "flops": True, "macs": True}


@pytest.mark.parametrize(
    ("text", "input"),
    [("224", "3x224x224"), ("224x224", "3x224x224"), ("1x3x224x224", "3x224x224"), ("?", ""),
     ("800 \u00d7 1280", "3x800x1280"), ("300x400x3", "3x300x400"), ("", "")],
)  # fmt: skip
def test_input_is_a_shape_without_batch(text, input):
    assert printed_table(f"Model,Input,Params\nA,{text},1M\n").rows[0].input == input


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", {}),
        ("\n\n", {}),
        ("Params,FLOPs\n1M,2G\n", {}),
        ("Model,Top-1\nA,71\n", {}),
        ("Model,Params\nA,abc\n", {}),
        ("Model,Params\n", {}),
        ("Model,Params\nA,1M\n", {"flops": "GFLOPs"}),
        ("Model,Params\nA,1M\n", {"colour": "Model"}),
    ],
)
def test_table_that_says_nothing_is_refused(text, named):
    with pytest.raises(SpecError):
        printed_table(text, named)


@pytest.mark.parametrize(
    ("head", "quantity", "unit"),
    [("GFLOPs", "flops", "g"), ("FLOPs@224 (B)", "flops", "g"), ("OPS (G)", "flops", "g"),
     ("infer_gmacs", "macs", "g"), ("Mult-Adds (M)", "macs", "m"), ("mParams", "params", "m"),
     ("#P", "params", ""), ("Million Parameters", "params", "m"), ("BFlops", "flops", "g"),
     ("MACs", "macs", ""), ("Acts (M)", "activations", "m"), ("Top-1", None, "")],
)  # fmt: skip
def test_head_says_quantity_and_unit(head, quantity, unit):
    assert (quantity_in(head), unit_in(head)) == (quantity, unit)


def test_file_may_be_in_any_usual_encoding(tmp_path):
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "cp1252"):
        path = tmp_path / f"{encoding}.csv"
        path.write_text("Modèle,Params\n", encoding=encoding)
        assert text_of(str(path)).rstrip() == "Modèle,Params"
    with pytest.raises(SpecError, match="cannot be read"):
        text_of(str(tmp_path / "nothing.csv"))


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text):
    try:
        printed_table(text)
    except SpecError:
        return


@given(
    st.lists(st.tuples(st.integers(1, 10**9), st.integers(0, 3)), min_size=1, max_size=5),
    st.sampled_from(",;\t"),
)
def test_written_figures_are_read_back(figures, delimiter):
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=delimiter)
    writer.writerow(("Model", "Params (count)"))
    shown = [f"{number / 10**places:.{places}f}M" for number, places in figures]
    writer.writerows((f"m{n}", text) for n, text in enumerate(shown))
    rows = printed_table(buffer.getvalue()).rows
    read = [row.entries[0].printed.value for row in rows]
    assert read == [Fraction(text[:-1]) * 10**6 for text in shown]
