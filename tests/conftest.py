"""Fixtures that several folders of tests share; none imports torch before it is asked for."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

# A busy machine is no reason to fail: speed is measured in benchmarks, not here.
settings.register_profile("archstat", deadline=None)
settings.load_profile("archstat")

# One worker a core is enough: threads of torch's own would only get in their way.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Tests answer from no earlier run but where they say so.
os.environ["ARCHSTAT_CACHE"] = "off"

# Fixtures of tests that take long for each network; its family's first runs in every test run.
_ONE_OF_A_FAMILY = frozenset({"difference_by_position", "unreached_parameters", "count_macs"})

if TYPE_CHECKING:
    import torch
    from torch import nn

    from archstat.measure.latency.measurement import Measurement


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs torchvision or timm, and as slow what a family's first member stands for."""
    begun: set[str] = set()
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        if "torchvision" in fixtures:
            item.add_marker(pytest.mark.extras)
        if not _ONE_OF_A_FAMILY.isdisjoint(fixtures):
            test = item.nodeid.partition("[")[0]
            if test in begun:
                item.add_marker(pytest.mark.slow)
            begun.add(test)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs a GPU where torch sees none."""
    if item.get_closest_marker("cuda") is not None:
        import torch

        if not torch.cuda.is_available():
            pytest.skip("torch sees no GPU here")


@pytest.fixture(scope="session")
def torchvision() -> Iterator[ModuleType]:
    """torchvision, also where its compiled operators do not load with the installed torch."""
    if importlib.util.find_spec("torchvision") is None:
        pytest.skip("torchvision is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            module, operators = importlib.import_module("torchvision"), None
        except RuntimeError:
            operators = _declare_missing_operators()
            module = importlib.import_module("torchvision")
    yield module
    # torch forgets the declarations together with this object
    del operators


def _declare_missing_operators() -> torch.library.Library:
    """Declare the two operators that `import torchvision` looks up, without their kernels."""
    import torch

    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    operators = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return operators


@pytest.fixture
def on_meta() -> Callable[..., nn.Module]:
    """Build a network on the meta device: shapes without memory."""
    import torch

    def build(factory: Callable[..., nn.Module], *sizes: int, **options: object) -> nn.Module:
        with torch.device("meta"):
            return factory(*sizes, **options)

    return build


@pytest.fixture
def count_params() -> Callable[[nn.Module], int]:
    """Count the elements of a module's parameters, a shared one once."""

    def count(module: nn.Module) -> int:
        return sum(parameter.numel() for parameter in module.parameters())

    return count


@pytest.fixture
def count_macs() -> Callable[..., int]:
    """Count a meta module's multiply-accumulates with torch's own counter, at batch 1."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    def count(module: nn.Module, *shape: int) -> int:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            module.eval()(torch.empty(1, *shape, device="meta"))
        # the counter adds two operations a multiply-accumulate
        flops: int = counter.get_total_flops()
        return flops // 2

    return count


@pytest.fixture
def unreached_parameters() -> Callable[..., list[str]]:
    """Name the parameters of a meta module that no gradient reaches in a training step."""
    import torch

    def names(module: nn.Module, *shape: int) -> list[str]:
        module.train()(torch.empty(2, *shape, device="meta")).sum().backward()
        return [name for name, parameter in module.named_parameters() if parameter.grad is None]

    return names


@pytest.fixture
def difference_by_position() -> Callable[..., float]:
    """Give a meta module another's weights by position; compare the outputs in eval mode."""
    import torch

    def difference(ours: nn.Module, theirs: nn.Module, *shape: int) -> float:
        generator = torch.Generator().manual_seed(0)
        for name, value in theirs.state_dict().items():
            # many of these start as all zeros or all ones, which would hide a swap
            if value.dim() == 1:
                scales = name.endswith((".weight", ".running_var"))
                value.uniform_(*((0.5, 1.5) if scales else (-0.1, 0.1)), generator=generator)
        # shapes are checked by load_state_dict, the length by strict
        weights = zip(ours.state_dict(), theirs.state_dict().values(), strict=True)
        ours.load_state_dict(dict(weights), assign=True)
        image = torch.randn(2, *shape, generator=generator)
        with torch.no_grad():
            mine, other = ours.eval()(image), theirs.eval()(image)
        assert other.isfinite().all()
        assert other.std() > 0
        return float((mine - other).abs().max() / other.abs().max())

    return difference


@pytest.fixture
def measurement() -> Callable[..., Measurement]:
    """Make a measurement as `bench` gives it, of a machine that does not exist."""
    from archstat.measure.latency.conditions import Conditions
    from archstat.measure.latency.measurement import Interval, Machine, Measurement, Timing

    def timing(phase: str, ms: float, width: float = 0.02) -> Timing:
        interval = Interval(ms * (1 - width), ms, ms * (1 + width))
        return Timing(phase, ms * 0.9, ms, ms * 1.2, ms * 0.1, interval, 60, 3)

    def make(
        model: str = "resnet18",
        ms: float = 10.0,
        width: float = 0.02,
        date: str = "2026-11-22T10:00:00+00:00",
        machine: str = "m1",
        torch_version: str = "2.8.0",
        rule: str = "budget of 30 s used",
        asked_batch: int | None = None,
        input: str = "1x3x224x224",
        **conditions: object,
    ) -> Measurement:
        # What ran has a batch, whether or not one was asked for.
        asked = Conditions(**{**conditions, "batch": conditions.get("batch") or 1})
        parts = {"step": 1.0, "forward": 0.3 if asked.backward else 1.0, "backward": 0.6,
                 "optimizer": 0.1, "wall": 1.1, "dispatch": 0.8, "cuda_graph": 0.7}  # fmt: skip
        return Measurement(
            model=model,
            input=input,
            conditions=asked,
            asked_batch=asked_batch or asked.batch or 1,
            threads=asked.threads or 2,
            layout=asked.layout,
            method="rounds of interleaved models",
            rule=rule,
            first_call_ms=50.0,
            timings=tuple(timing(phase, ms * parts[phase], width) for phase in asked.phases),
            machine=Machine("Some CPU", None, torch_version, "3.12.1", "Linux-x86_64", 2, machine),
            date=date,
            settings={"tf32_matmul": False, "cudnn_benchmark": False},
            per_process=((ms, ms), (ms, ms), (ms, ms)),
        )

    return make
