"""torchvision's classifiers and one model of each timm family, captured and checked.

    python -m pip install -c constraints.txt ".[torchvision,timm]" && python benchmarks/catalogue.py

Every model must be captured on meta with no unknown op. torchvision publishes the multiply-
accumulates, in units of 1e9 with three decimals, and the parameters of its classifiers: both must
agree. Exits with 1 where one does not; ``--write`` puts the table into reports/catalogue.csv.
"""

from __future__ import annotations

import argparse
import csv
import importlib
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

REPORT = Path(__file__).parents[1] / "reports" / "catalogue.csv"

# The fewest parameters of each family of timm 1.0.31, the test_* models aside. A family that is
# not here gets its smallest when it is asked for.
TIMM = """
    beit_base_patch16_224 halonet_h1 mobileone_s1 cait_xxs24_224 coat_tiny convit_tiny
    convmixer_768_32 convnext_zepto_rms cpubone_nano crossvit_tiny_240 csatv2 cs3darknet_focus_s
    cspnext_tiny davit_tiny deepseek_vit_412m deit_tiny_patch16_224 densenet121 dla46x_c dpn48b
    edgenext_xx_small efficientformer_l1 efficientformerv2_s0 mobilenetv2_035 efficientvim_m1
    efficientvit_b0 efficientvit_m0 vit_tiny_patch16_dinov3_qkvb fasternet_t0 fastvit_t8
    focalnet_tiny_srf gcvit_xxtiny gemma4_vit_167m ghostnet_050 hardcorenas_b hgnetv2_b0
    hiera_tiny_224 sam2_hiera_tiny hrnet_w18_small iformer_t inception_next_atto
    inception_resnet_v2 inception_v3 inception_v4 lcnetv2_small levit_128s lowformer_b0
    mambaout_femto maxvit_pico_rw_256 poolformerv2_s12 gmlp_ti16_224 mobilenetv3_small_050
    mobilenetv5_base mobilevit_xxs mvitv2_tiny naflexvit_base_patch16_parfac_gap nasnetalarge
    nest_tiny nextvit_small nf_regnet_b0 pit_ti_224 pnasnet5large pvt_v2_b0 qwen3_vit_88m
    rdnet_tiny regnetx_002 repghostnet_050 repvit_m1 res2next50 resnest14d resnet10t resnetv2_18
    rexnet_100 selecsls42 legacy_seresnet18 sequencer2d_s shvit_s1 skresnet18 starnet_s050
    swiftformer_xs swin_tiny_patch4_window7_224 swinv2_tiny_window8_256 swinv2_cr_tiny_224
    tiny_vit_5m_224 tnt_s_legacy_patch16_224 tresnet_m twins_svt_small vgg11 visformer_tiny
    vit_tiny_patch16_224 vit_tiny_r_s16_p8_224 vit_srelpos_small_patch16_224
    samvit_base_patch16_224 vitamin_small_224 volo_d1_224 ese_vovnet19b_slim_dw legacy_xception
    xception41p xcit_nano_12_p8_224
"""

# The published count leaves out what the default model has: GoogLeNet's two auxiliary heads.
UNPUBLISHED_PARAMS = {"googlenet": 6_379_984}


@dataclass(frozen=True, slots=True)
class Row:
    """One model: what archstat counted, and what is wrong with it."""

    model: str
    input: str = ""
    macs: int = 0
    params: int = 0
    published_gmacs: float | None = None
    published_params: int | None = None
    device: str = ""
    verdict: str = "ok"


def main() -> int:
    """Capture, print, check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write reports/catalogue.csv")
    arguments = parser.parse_args()
    rows = []
    with torchvision_importable():
        names = [f"torchvision:{name}" for name in classifiers()]
        for spec in [*names, *(f"timm:{name}" for name in timm_models())]:
            start = time.perf_counter()
            row = captured(spec)
            seconds = time.perf_counter() - start
            rows.append(row)
            counts = f"{row.macs / 1e9:9.3f} G macs {row.params / 1e6:8.2f} M params"
            print(f"{spec:45}{counts} {seconds:6.2f} s  {row.verdict}", flush=True)
    failed = [row for row in rows if row.verdict != "ok"]
    print(f"{len(rows)} models, {len(failed)} with something wrong")
    if arguments.write:
        write(rows)
    return 1 if failed else 0


def captured(spec: str) -> Row:
    """One model through archstat's own route."""
    import archstat

    try:
        report = archstat.analyze(spec)
    except Exception as error:  # the next model may do better
        return Row(spec, verdict=f"failed: {type(error).__name__}: {error}")
    macs, params = report.totals["macs"], report.totals["params"]
    gmacs, published_params = published(spec, int(report.input.split("x")[-1]))
    said = [found.text for found in report.findings if found.topic in ("unknown_ops", "note")]
    if report.graph.device != "meta" and not said:
        said.append(f"ran on {report.graph.device}")
    if gmacs is not None and f"{macs / 1e9:.3f}" != f"{gmacs:.3f}":
        said.append(f"published macs are {gmacs} G")
    if published_params not in (None, params):
        said.append(f"published params are {published_params}")
    device = report.graph.device
    verdict = "; ".join(said) or "ok"
    return Row(spec, report.input, macs, params, gmacs, published_params, device, verdict)


def published(spec: str, side: int) -> tuple[float | None, int | None]:
    """torchvision's own figures for a classifier, of the weights made for this resolution.

    Several weights of one network may want different sizes: of vit_h_14's the first wants 518
    pixels, where network and input are built for 224 by default.
    """
    scheme, _, name = spec.partition(":")
    if scheme != "torchvision":
        return None, None
    from torchvision import models

    for weights in models.get_model_weights(name):
        if weights.transforms.keywords["crop_size"] == side:
            params = weights.meta["num_params"] + UNPUBLISHED_PARAMS.get(name, 0)
            return weights.meta["_ops"], params
    return None, None


def classifiers() -> list[str]:
    """The names of torchvision's classifiers."""
    from torchvision import models

    found: list[str] = models.list_models(module=models)
    return found


def timm_models() -> list[str]:
    """The smallest model of each family of the installed timm."""
    import timm

    chosen = set(TIMM.split())
    families = {family: timm.list_models(module=family) for family in timm.list_modules()}
    return [
        next((name for name in names if name in chosen), None) or smallest(names)
        for names in families.values()
        if names
    ]


def smallest(names: Sequence[str]) -> str:
    """The timm model with the fewest parameters."""
    import timm

    from archstat.frontends.building import build_on_meta

    def params(name: str) -> int:
        model = build_on_meta(lambda: timm.create_model(name, pretrained=False))
        return sum(parameter.numel() for parameter in model.parameters())

    return min([name for name in names if not name.startswith("test_")] or names, key=params)


@contextmanager
def torchvision_importable() -> Iterator[Any]:
    """torchvision, also where its compiled operators do not load with the installed torch.

    The classifiers use none of them, but importing the package looks two of them up.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            module, operators = importlib.import_module("torchvision"), None
        except RuntimeError:
            import torch

            for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
                del sys.modules[name]
            operators = torch.library.Library("torchvision", "DEF")
            for name in ("nms", "qnms"):
                operators.define(f"{name}(Tensor dets, Tensor scores, float limit) -> Tensor")
            module = importlib.import_module("torchvision")
    yield module
    del operators  # torch forgets the declarations together with this object


def imports(package: str) -> bool:
    """Whether a package is there and loads; a printed word where not."""
    try:
        importlib.import_module(package)
    except Exception as error:  # whatever a package does when it is imported
        print(f"{package} is skipped: {error}")
        return False
    return True


def fill_in(page: str, name: str, text: str) -> None:
    """Put generated text between the markers of that name on a page of docs/."""
    path = Path(__file__).parents[1] / "docs" / page
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, found, rest = path.read_text(encoding="utf-8").partition(begin)
    if not found or end not in rest:
        raise SystemExit(f"docs/{page} has no {begin} ... {end}")
    path.write_text(f"{before}{begin}\n{text}\n{end}{rest.partition(end)[2]}", encoding="utf-8")


def write(rows: Sequence[Row]) -> None:
    """The report, one row a model."""
    REPORT.parent.mkdir(exist_ok=True)
    with REPORT.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, [field.name for field in fields(Row)], lineterminator="\n")
        table.writeheader()
        table.writerows(asdict(row) for row in rows)


if __name__ == "__main__":
    raise SystemExit(main())
