"""Claims about whole networks."""

from __future__ import annotations

from claims.commands import Claim, Rows


def _weights(spec: str, layer: str) -> str:
    """A command that prints the weights of a layer that meets each of them once."""
    return (
        f"python -c \"import archstat; rows = archstat.analyze('{spec}').layers; "
        f"print(dict(zip(rows.column('module'), rows.column('macs')))['{layer}'])\""
    )


_TRAINING = (
    "from archstat.measure.training.rows import Plan, memory_row; "
    "steps = [memory_row('resnet50', Plan(name).settings()).step for name in ('momentum', 'adam')]"
    "; print(' and '.join(f'x{(s.param_bytes + s.gradient_bytes + s.optimizer_bytes) / "
    "s.param_bytes:g}' for s in steps))"
)
_CONNECTIONS = (
    "import archstat; g = archstat.analyze('densenet121').graph; "
    "read = [g.values[op.inputs[0]].shape[1] for op in g.ops if op.kind == 'conv' and "
    "op.module.startswith('block1') and op.module.endswith('conv1')]; "
    "print(len(read), sum((maps - 64) // 32 + 1 for maps in read))"
)
_WIDTHS = (
    "import archstat; g = archstat.analyze('pyramidnet110_a48_cifar10').graph; "
    "made = [g.values[op.outputs[0]].shape[1] for op in g.ops if op.kind == 'conv' and "
    "op.module.endswith('conv2')]; "
    "print(made == [round(16 + k * 48 / 54) for k in range(1, 55)])"
)


def _params(rows: Rows) -> str:
    return " and ".join(str(row["params"]) for row in rows)


def _widths(rows: Rows) -> str:
    macs = ", ".join(f"{row['macs'] / 1e6:.0f}" for row in rows)
    params = ", ".join(f"{row['params'] / 1e6:.1f}" for row in rows)
    return f"{macs} M macs; {params} M parameters"


def _resolutions(rows: Rows) -> str:
    assert len({row["params"] for row in rows}) == 1
    return ", ".join(f"{row['macs'] / 1e6:.0f}" for row in rows) + " M macs"


def _tail(rows: Rows) -> str:
    moved = 960 * 1280
    return f"{(rows[1]['macs'] - rows[0]['macs'] + moved) / moved:g}"


def _megabytes(rows: Rows) -> str:
    return f"{rows[0]['param_bytes']} bytes"


def _equal_cost(rows: Rows) -> str:
    params = " and ".join(f"{row['params'] / 1e6:.1f} M" for row in rows)
    macs = " and ".join(f"{row['macs'] / 1e9:.1f} G" for row in rows)
    return f"{params}; {macs}"


def _one_pass(rows: Rows) -> str:
    places = "x".join(map(str, rows[1]["score_map"]))
    times = 1 / rows[1]["sliding_ratio"]
    return f"{places}, {rows[1]['evaluations']} in one pass, {times:.1f} times fewer"


def _broken(rows: Rows) -> str:
    found: dict[str, list[str]] = {}
    for row in rows:
        if not row["module"]:
            broken = found.setdefault(row["model"], [])
            broken += [row["guideline"]] if row["verdict"] == "broken" else []
    return "; ".join(f"{name} breaks {' '.join(b) or 'none'}" for name, b in found.items())


NETWORKS = (
    Claim("first_dense_lenet", "weights of LeNet's first fully connected layer, 16 x 5 x 5 x 120",
          "48000", _weights("lenet5_modern", "c5")),
    Claim("first_dense_alexnet", "weights of AlexNet's first fully connected layer",
          "256*5*5*4096 = 26214400", _weights("alexnet", "classifier.0"),
          reason="the network has 6x6 maps before it: 256*6*6*4096"),
    Claim("first_dense_vgg", "weights of VGG-16's first fully connected layer, 512 x 7 x 7 x 4096",
          "102760448", _weights("vgg16", "classifier.0")),
    Claim("squeezenet_ratio", "parameters of AlexNet over SqueezeNet 1.0", "about 50",
          "archstat compare squeezenet1_0 alexnet", lambda r: f"{r[1]['params_ratio']:.1f}",
          fits="48.8"),
    Claim("googlenet_ratio", "parameters of VGG-16 and GoogLeNet", "138 M and 4 M",
          "archstat compare vgg16 googlenet", _params,
          reason="7.0 M as published implementations have it: VGG-16 has 20 times as many"),
    Claim("googlenet_aux", "parameters of GoogLeNet, without and with two auxiliary classifiers",
          "6998552 and 13378280", "archstat compare googlenet googlenet,aux=1", _params),
    Claim("dense_to_conv", "VGG-16 with convolutions for dense layers on 384x384: 6x6 positions, "
          "36 evaluations in one pass", "6x6, 36 in one pass, for fewer macs than 36 crops",
          "archstat compare vgg16 --fully-convolutional --resolution 384", _one_pass,
          "6x6, 36 in one pass, 11.2 times fewer"),
    Claim("densenet_connections", "direct connections in a dense block of L layers: L (L+1) / 2, "
          "here L = 6", "6 21", f'python -c "{_CONNECTIONS}"'),
    Claim("width_multiplier", "MobileNet v1 at width 1, 0.75, 0.5, 0.25",
          "569, 325, 149, 41 M macs; 4.2, 2.6, 1.3, 0.5 M parameters",
          "archstat compare mobilenet_v1 mobilenet_v1,width=0.75 mobilenet_v1,width=0.5 "
          "mobilenet_v1,width=0.25", _widths),
    Claim("resolution_multiplier", "MobileNet v1 at 224, 192, 160, 128; parameters unchanged",
          "569, 418, 290, 186 M macs",
          "archstat compare mobilenet_v1 mobilenet_v1,resolution=192 "
          "mobilenet_v1,resolution=160 mobilenet_v1,resolution=128", _resolutions,
          fits="569, 418, 291, 186 M macs", reason="290.68 is cut off in the paper"),
    Claim("weights_vgg16", "size of the weights of VGG-16", "about 490 MB",
          "archstat compare vgg16", _megabytes, reason="float32: 553 MB, or 527.8 MiB"),
    Claim("weights_resnet152", "size of the weights of ResNet-152", "about 644 MB",
          "archstat compare resnet152", _megabytes, reason="float32: 241 MB, or 229.6 MiB"),
    Claim("alexnet_dense_memory", "AlexNet's two layers of 4096", "nearly 1 GB",
          "python -c \"import archstat; rows = archstat.analyze('alexnet').layers; "
          "macs = dict(zip(rows.column('module'), rows.column('macs'))); "
          "weights = macs['classifier.0'] + macs['classifier.3']; "
          "print(f'{weights * 4 / 1e6:.0f} MB')\"",
          reason="54.5 M weights in float32; 872 MB with gradient and two states of Adam"),
    Claim("training_memory", "memory of training: parameters three times with momentum, four with "
          "Adam, and what backward keeps", "x3 and x4", f'python -c "{_TRAINING}"',
          reason="weights, gradients and states of ResNet-50; saved_activation_bytes is beside"),
    Claim("resnext_equal_cost", "ResNeXt-50 32x4d and ResNet-50",
          "25.0 M and 25.5 M; 4.2 G and 4.1 G", "archstat compare resnext50_32x4d resnet50",
          _equal_cost, fits="25.0 M and 25.6 M; 4.2 G and 4.1 G",
          reason="25.557 M is cut off in the source"),
    Claim("mobilenet_v3_tail", "macs saved in the layer that MobileNet v3 moves behind the pooling",
          "49", "archstat compare mobilenet_v3_large mobilenet_v3_large,tail=late_pool", _tail),
    Claim("pyramid_widths", "width of unit k of an additive PyramidNet: round(D0 + k alpha / N)",
          "True", f'python -c "{_WIDTHS}"'),
    Claim("shufflenet_guidelines", "the four guidelines of ShuffleNet v2: v1 breaks G1 and G2, "
          "MobileNet v2 G1 and G4, v2 none", "G1 to G4",
          "archstat guidelines shufflenet_v1 mobilenet_v2 shufflenet_v2_x1_0", _broken,
          "shufflenet_v1 breaks G1 G2; mobilenet_v2 breaks G1 G4; shufflenet_v2_x1_0 breaks none"),
)  # fmt: skip
