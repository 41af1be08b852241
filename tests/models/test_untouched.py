"""What archstat builds and trains: no method of the user's, no download, no run without room."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from archstat.errors import ArchstatError
from archstat.frontends import building
from archstat.measure.training.real_peaks import measured_inference_bytes, measured_training_bytes
from archstat.measure.training.step import Settings, training_step
from archstat.models.pipeline import graph_of_spec
from archstat.models.sources import find
from archstat.models.specs import parse_spec

READS = """
import torch
from torch import nn

class Lists(nn.Linear):
    def __init__(self):
        super().__init__(4, 4)
    def forward(self, x):
        return super().forward(x)[: len(x.tolist())]

class Formats(Lists):
    def forward(self, x):
        return super().forward(x) if "e" in f"{float(x.sum()):e}" else x

class Dtypes(Lists):
    def forward(self, x):
        if x.device.type == "meta":
            raise TypeError("only cpu tensors are taken")
        return nn.Linear.forward(self, x)

class Arrays(Lists):
    def forward(self, x):
        return nn.Linear.forward(self, torch.from_numpy(x.numpy()))
"""


class Trains(nn.Linear):
    """Its `train` and `eval` do what nobody asked for."""

    def train(self, mode=True):
        raise RuntimeError("a training starts")

    def eval(self):
        raise RuntimeError("a training ends")


def test_memory_calls_no_method_of_the_users_class():
    net, x = Trains(4, 3), torch.rand(2, 4)
    assert training_step(net, (x,)).training_macs > 0
    assert measured_training_bytes(net, ((x,), {}), Settings()) > 0
    assert measured_inference_bytes(net, ((x,), {})) > 0
    assert net.training


@pytest.mark.parametrize("name", ["Lists", "Formats", "Dtypes", "Arrays"])
def test_model_that_reads_numbers_runs_for_real_whatever_its_error_says(name, tmp_path):
    path = tmp_path / "reads.py"
    path.write_text(READS)
    graph = graph_of_spec(f"{path}:{name}", "4", 2)
    assert graph.device == "cpu"
    assert "its counts hold for this input" in graph.notes[0]
    assert [op.kind for op in graph.ops].count("linear") == 1


def test_model_without_room_for_its_weights_is_refused_with_its_size(tmp_path, monkeypatch):
    path = tmp_path / "reads.py"
    path.write_text(READS)
    monkeypatch.setattr(building, "free_bytes", lambda: 79)
    with pytest.raises(ArchstatError, match="takes 80 B for its weights; 79 B are free"):
        graph_of_spec(f"{path}:Lists", "4")


def test_model_whose_constructor_reads_numbers_is_refused_before_it_fills_memory(
    tmp_path, monkeypatch
):
    path = tmp_path / "reads.py"
    path.write_text(
        "from torch import nn\n"
        "class Net(nn.Sequential):\n"
        "    def __init__(self):\n"
        "        super().__init__(*(nn.Linear(4, 4, bias=False) for _ in range(5)))\n"
        "        assert self[0].weight.sum().item() < 1e9\n"
    )
    monkeypatch.setattr(building, "free_bytes", lambda: 3 * 16 * 4)
    with pytest.raises(ArchstatError, match="take more than 256 B, 192 B are free") as caught:
        graph_of_spec(f"{path}:Net", "4")
    assert "On shapes alone it does not either" in str(caught.value)
    monkeypatch.setattr(building, "free_bytes", lambda: 5 * 16 * 4)
    assert graph_of_spec(f"{path}:Net", "4").ops


def test_weights_that_are_shared_or_replaced_are_weighed_once(monkeypatch):
    def build():
        net = nn.Linear(4, 4, bias=False)
        for _ in range(5):
            net.weight = nn.Parameter(net.weight.detach().clone())
        net.tied = net.weight
        return net

    monkeypatch.setattr(building, "free_bytes", lambda: 2 * 16 * 4)
    assert building.build_for_real(build).tied is not None


def test_network_of_torchvision_with_a_backbone_loads_nothing(torchvision):
    asked = []
    models = torchvision.models
    spec = "torchvision:fcn_resnet50"
    load = torch.hub.load_state_dict_from_url
    try:
        torch.hub.load_state_dict_from_url = lambda *a, **k: asked.append(a)
        module = find(parse_spec(spec)).build()
    finally:
        torch.hub.load_state_dict_from_url = load
    assert isinstance(module, models.segmentation.FCN)
    assert asked == []


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_compiled_function_inside_forward_is_captured_without_compiling():
    @torch.compile
    def product(layer, x):
        return layer(x)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.l = nn.Linear(4, 3)

        def forward(self, x):
            return product(self.l, x)

    from archstat.frontends.module import capture

    graph = capture(Net().eval(), torch.rand(2, 4))
    assert graph.device == "meta"
    assert [op.module for op in graph.ops if op.kind == "linear"] == ["l"]
