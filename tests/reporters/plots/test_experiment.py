"""The picture of an experiment: a bar a network, published speeds as marks."""

from __future__ import annotations

import pytest

from archstat.errors import OutputError
from archstat.reporters.plots import SpeedBar, SpeedGroup, SpeedPicture, plot_experiment

BARS = (
    SpeedBar("1:2", 0.9, 0.8, 1.0, {"GTX 1080 Ti": 0.88, "ARM": 0.96}),
    SpeedBar("1:6", 0.5, 0.1, 40.0, {"ARM": 0.9}),
)
GROUPS = (SpeedGroup("x1", BARS), SpeedGroup("x2", BARS))
PICTURE = SpeedPicture("G1", "Some CPU, batch 1", "G1 held here.", "1:1", GROUPS)


def test_picture_names_variants_sizes_and_publications(tmp_path):
    path = tmp_path / "g1.svg"
    plot_experiment(PICTURE, path)
    text = path.read_text(encoding="utf-8")
    for word in ("1:2", "1:6", "x1", "x2", "GTX 1080 Ti", "ARM", "speed over 1:1", "G1 held here"):
        assert word in text


def test_same_picture_has_the_same_bytes(tmp_path):
    paths = [tmp_path / name for name in ("a.svg", "b.svg")]
    for path in paths:
        plot_experiment(PICTURE, path)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_interval_that_says_nothing_does_not_flatten_the_bars(tmp_path):
    text = tmp_path / "g1.svg"
    plot_experiment(PICTURE, text)
    # Ticks end with the speeds, not with the limit of 40.
    assert ">40<" not in text.read_text(encoding="utf-8")
    assert "1.0" in text.read_text(encoding="utf-8")


def test_experiment_without_publications_is_drawn(tmp_path):
    bars = (SpeedBar("separable", 3.0, 2.0, 4.0, {}),)
    plot_experiment(SpeedPicture("S", "p", "c", "standard", (SpeedGroup("64x7x7", bars),)),
                    tmp_path / "s.png")  # fmt: skip
    assert (tmp_path / "s.png").stat().st_size > 1000


def test_other_suffix_is_refused(tmp_path):
    with pytest.raises(OutputError, match="not a picture format"):
        plot_experiment(PICTURE, tmp_path / "g1.gif")
