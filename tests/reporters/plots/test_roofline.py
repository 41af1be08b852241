"""The picture of a roofline."""

from __future__ import annotations

import pytest

from archstat.errors import OutputError
from archstat.reporters.plots import RoofLines, RoofPoint, RoofSeries, plot_roofline

pytest.importorskip("matplotlib")

ROOF = RoofLines("A device", "fp16", bandwidth=1e12, products=100e12, others=10e12)
NET = RoofSeries(
    "net",
    (
        RoofPoint("conv", 200.0, 100e12, 0.5),
        RoofPoint("fc", 0.5, 0.5e12, 0.4),
        RoofPoint("relu", 0.125, 0.125e12, 0.1),
        RoofPoint("concat", 0.0, 0.0, 0.05),
    ),
)


@pytest.mark.parametrize(
    "suffix", [".svg", *(pytest.param(one, marks=pytest.mark.slow) for one in (".png", ".pdf"))]
)
def test_same_bytes_twice(tmp_path, suffix):
    paths = [tmp_path / f"{name}{suffix}" for name in "ab"]
    for path in paths:
        plot_roofline(ROOF, [NET], path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert paths[0].stat().st_size > 1000


def test_picture_names_axes_units_roofs_and_the_longest_layers(tmp_path):
    path = tmp_path / "net.svg"
    plot_roofline(ROOF, [NET], path)
    text = path.read_text(encoding="utf-8")
    for said in ("arithmetic intensity (flops a byte)", "attainable FLOP/s", "A device, fp16",
                 "products: 100 TFLOP/s", "other flops: 10 TFLOP/s", "1,000 GB/s", "conv, 50.0%",
                 "net; area: share"):  # fmt: skip
        assert said in text


def test_several_models_have_a_legend_and_one_roof_where_units_are_shared(tmp_path):
    path = tmp_path / "nets.svg"
    shared = RoofLines("A cpu", "fp32", 1e11, 1e12, 1e12)
    plot_roofline(shared, [NET, RoofSeries("other", NET.points[:2])], path)
    text = path.read_text(encoding="utf-8")
    assert "all flops: 1 TFLOP/s" in text
    assert "other flops" not in text
    assert ">net<" in text
    assert ">other<" in text


def test_model_without_a_drawable_layer_still_shows_the_roof(tmp_path):
    path = tmp_path / "none.png"
    plot_roofline(ROOF, [RoofSeries("none", NET.points[3:])], path)
    assert path.exists()


def test_other_suffix_is_refused(tmp_path):
    with pytest.raises(OutputError, match="suffix"):
        plot_roofline(ROOF, [NET], tmp_path / "net.txt")
