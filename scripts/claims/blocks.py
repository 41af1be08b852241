"""Claims about single layers and blocks."""

from __future__ import annotations

from claims.commands import Claim, Rows

C = 64
_PAIR = (
    "import archstat; from archstat.zoo import build; from torch.nn import Sequential; "
    "pair = Sequential(build('asymmetric', in_=64), build('asymmetric', in_=64)); "
    "print(*(archstat.analyze(net, '64x28x28').totals['params'] // 64**2 for net in "
    "(build('conv', in_=64, kernel=5), build('stacked', in_=64), pair)))"
)
_FIRST = "import archstat; from torch.nn import Conv2d; net = Conv2d(3, 96, 11, 4, bias=False); "
_SIZES = (
    f"{_FIRST}"
    "print(*(archstat.analyze(net, (3, s, s)).graph.values[-1].shape[-1] for s in (227, 224)))"
)
_FIELDS = (
    "import archstat; nets = map(archstat.layers, ('3x3*3', '3x3/2*3')); "
    "print(*(archstat.receptive_field(net).final.receptive_field[0] for net in nets), sep=' and ')"
)
_POOL = (
    "import archstat; from torch.nn import MaxPool2d; "
    "g = archstat.analyze(MaxPool2d(2), '64x56x56').graph; "
    "print(f'{g.values[g.outputs[0]].numel / g.values[g.inputs[0]].numel:.0%}')"
)


def _squares(rows: Rows) -> str:
    weights = " against ".join(f"{row['params'] // C**2} C^2" for row in rows)
    return f"{weights}, {_seen(rows)}"


def _seen(rows: Rows) -> str:
    (field,) = {"x".join(map(str, row["receptive_field"])) for row in rows}
    return f"both seeing {field}"


def _saved(rows: Rows) -> str:
    assert rows[1]["params_ratio"] == rows[1]["macs_ratio"]
    return f"{1 - rows[1]['macs_ratio']:.0%} less"


def _saved_for_the_same(rows: Rows) -> str:
    return f"{_saved(rows)}, {_seen(rows)}"


def _macs_and_params(rows: Rows) -> str:
    macs, params = ([row[key] for row in rows] for key in ("macs", "params"))
    return f"{macs[0]} against {macs[1]} macs; {params[0]} against {params[1]} weights"


def _dense_and_conv(rows: Rows) -> str:
    dense, conv = rows
    return f"{dense['params']} against {conv['params']} weights; {conv['macs']} connections"


def _separable(rows: Rows) -> str:
    return f"{rows[1]['macs_ratio']:.6f}"


def _inception(rows: Rows) -> str:
    return f"{rows[0]['macs'] / 1e6:.0f} M, then {rows[1]['macs']}"


def _im2col(rows: Rows) -> str:
    first = next(row for row in rows if row["module"] == "features.0")
    copied, weight = ("x".join(map(str, first[key])) for key in ("im2col", "im2col_weight"))
    return f"{copied}, {weight}, copied {first['im2col_copy_factor']:.1f} times"


BLOCKS = (
    Claim("small_kernels_params", "three 3x3 against one 7x7 of the same width C",
          "27 C^2 against 49 C^2, both seeing 7x7",
          "archstat compare stacked,in=64,number=3 conv,in=64,kernel=7", _squares),
    Claim("factor_5x5", "weights and macs saved by two 3x3 in place of a 5x5",
          "28% less, both seeing 5x5",
          "archstat compare conv,in=64,kernel=5 stacked,in=64,number=2", _saved_for_the_same),
    Claim("factor_3x3_asymmetric", "weights and macs saved by 1x3 then 3x1 in place of a 3x3",
          "33% less", "archstat compare conv,in=64 asymmetric,in=64", _saved),
    Claim("factor_5x5_asymmetric", "weights a pair of channels: a 5x5, two 3x3, two pairs of "
          "1x3 and 3x1", "25 18 12", f'python -c "{_PAIR}"'),
    Claim("separable_macs", "standard 3x3 against depthwise-separable, 28x28x128 to 28x28x256",
          "231211008 against 26593280 macs; 294912 against 33920 weights",
          "archstat compare conv,in=128,out=256 depthwise_separable,in=128,out=256 "
          "--input 128x28x28", _macs_and_params),
    Claim("separable_ratio", "depthwise-separable over standard: 1/N + 1/Dk^2, here 1/256 + 1/9",
          "0.115017",
          "archstat compare conv,in=128,out=256 depthwise_separable,in=128,out=256", _separable),
    Claim("dense_against_conv", "28x28x1 to 28x28x1, fully connected against one 3x3 filter",
          "614656 against 9 weights; 7056 connections",
          "archstat compare dense,in=784 conv,in=1,resolution=28", _dense_and_conv),
    Claim("pointwise_weights", "weights of a 1x1 from f1 to f2 channels: f1 f2, here 128 x 256",
          "32768", "archstat compare pointwise_conv,in=128,out=256",
          lambda rows: str(rows[0]["params"])),
    Claim("grouped_weights", "weights and macs in g groups: 1/g, here 1/8", "0.125 and 0.125",
          "archstat compare conv,in=64 grouped_conv,in=64,groups=8",
          lambda rows: f"{rows[1]['params_ratio']} and {rows[1]['macs_ratio']}"),
    Claim("inception_bottleneck", "28x28x256 into 128, 192 and 96 maps: naive, then with 1x1 of "
          "64 before and behind the pooling", "about 854 M, then 271351808",
          "archstat compare inception,in=256,naive=1,filters1=128,filters3=192,filters5=96 "
          "inception,in=256,filters1=128,reduce3=64,filters3=192,reduce5=64,filters5=96,pool=64 "
          "--input 256x28x28", _inception, "854 M, then 271351808"),
    Claim("rf_recursion", "receptive field after layer n from the one before it", "7 and 15",
          f'python -c "{_FIELDS}"'),
    Claim("output_size", "output of 11x11 at stride 4 without padding on 227 and on 224, where a "
          "column is lost", "55 and 54.25, so 54", f'python -c "{_SIZES}"', fits="55 54",
          reason="archstat rf --layers 11x11/4p0 --input 224 warns of the lost column"),
    Claim("im2col", "matrices of the first AlexNet layer, and how often its input is copied",
          "363x3025, 96x363, copied 7.1 times",
          "archstat summary alexnet --columns im2col,im2col_weight,im2col_copy_factor", _im2col),
    Claim("pool_activations", "activations kept by 2x2 pooling of stride 2", "25%",
          f'python -c "{_POOL}"'),
    Claim("highway_gate", "weights of a highway layer over a plain one of the same width", "2",
          "archstat compare conv,in=64,bias=1 highway,in=64",
          lambda rows: f"{rows[1]['params_ratio']:g}"),
    Claim("se_reduction", "weights of squeeze and excitation: 2 C^2 / r, here C = 64, r = 16",
          "512", "archstat compare se,in=64,reduction=16", lambda rows: str(rows[0]["macs"]),
          reason="each weight is used once, so that macs counts them without the biases"),
    Claim("pointwise_for_3x3", "weights of a 3x3 over those of a 1x1", "9",
          "archstat compare pointwise_conv,in=64 conv,in=64",
          lambda rows: f"{rows[1]['params_ratio']:g}"),
)  # fmt: skip
