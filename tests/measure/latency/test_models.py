"""Specs made ready to run: their inputs, their batch, their errors."""

from __future__ import annotations

import pytest
import torch

import archstat
from archstat.errors import CaptureError, InputError, UnknownModelError
from archstat.measure.latency.conditions import Conditions
from archstat.measure.latency.machine import prepared
from archstat.measure.latency.models import load, out_of_memory, random_inputs
from archstat.models.pipeline import graph_of_spec

MODELS = '''
import torch
from torch import nn


class Tokens(nn.Module):
    """Ids of a large table, and segments of a small one."""

    def __init__(self):
        super().__init__()
        self.words, self.segments = nn.Embedding(1000, 4), nn.Embedding(2, 4)

    def forward(self, words, segments):
        return self.words(words.view(-1)) + self.segments(segments.view(-1))


class Shifted(nn.Module):
    """Ids that are changed before they are looked up."""

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(7, 4)

    def forward(self, words):
        return self.words(words + 0)


class Fails(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x):
        if not x.is_meta:
            raise ValueError("not today")
        return self.layer(x)


class Frozen(nn.Linear):
    def __init__(self):
        super().__init__(4, 4)
        self.requires_grad_(False)


class Normed(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(4, 4), nn.BatchNorm1d(4))
'''


@pytest.fixture
def models(tmp_path):
    path = tmp_path / "models.py"
    path.write_text(MODELS, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("spec", "batch", "expected"),
    [
        ("squeezenet1_1,resolution=32", 3, "3x3x32x32"),
        ("squeezenet1_1,resolution=32", None, "1x3x32x32"),
        ("squeezenet1_1,resolution=32,batch=5", 3, "5x3x32x32"),
        ("squeezenet1_1,input=3x40x32", 1, "1x3x40x32"),
    ],
)
def test_the_spec_has_the_last_word_on_batch_and_input(spec, batch, expected):
    made = load(spec, (), Conditions(batch=batch))
    assert made.input == expected
    assert made.batch == made.asked_batch == int(expected[0])
    with prepared(made.conditions):
        made.first_call()


def test_an_input_is_for_models_that_name_none():
    made = load("squeezenet1_1", ("3x48x48",), Conditions(batch=2))
    assert made.input == "2x3x48x48"


def test_another_batch_keeps_the_module_and_what_was_asked():
    made = load("squeezenet1_1,resolution=32,batch=8", (), Conditions())
    half = made.at_batch(4)
    assert (half.input, half.batch, half.asked_batch) == ("4x3x32x32", 4, 8)
    assert half.module is made.module


def test_inputs_are_random_and_the_same_every_time():
    graph = archstat.capture(torch.nn.Conv2d(3, 4, 3), torch.rand(2, 3, 8, 8))
    (image,), _ = random_inputs(graph, torch.nn.Identity())
    (again,), _ = random_inputs(graph, torch.nn.Identity())
    assert torch.equal(image, again)
    assert image.unique().numel() > 300
    assert image.min() >= 0


def test_ids_lie_within_their_own_embedding(models):
    graph = graph_of_spec(f"{models}:Tokens", ["words=64:int64", "segments=64:int64"], 2)
    _, given = random_inputs(graph, torch.nn.Identity())
    assert 500 < given["words"].max() < 1000
    assert given["segments"].max() == 1
    graph = graph_of_spec(f"{models}:Shifted", ["64:int64"], 2)
    assert random_inputs(graph, torch.nn.Identity())[0][0].max() == 6


def test_an_unknown_model_and_a_wrong_input_have_their_own_errors():
    with pytest.raises(UnknownModelError):
        load("resnet18x", (), Conditions())
    with pytest.raises(InputError):
        load("squeezenet1_1", ("5x32x32",), Conditions())


def test_a_model_without_its_weights_is_refused_by_name(tmp_path):
    text = "from torch import nn\n\ndef build():\n    return nn.Linear(4, 4, device='meta')\n"
    (tmp_path / "bare.py").write_text(text, encoding="utf-8")
    with pytest.raises(CaptureError, match=r"bare\.py:build is read without its weights"):
        load(f"{tmp_path}/bare.py:build", ("4",), Conditions())


def test_a_forward_that_raises_is_told_with_its_conditions(models):
    made = load(f"{models}:Fails", ("4",), Conditions(dtype="bf16"))
    with pytest.raises(CaptureError, match=r"Fails does not run on cpu in bf16: .*not today"):
        made.first_call()


@pytest.mark.parametrize(
    ("name", "said"),
    [("Frozen", "Frozen.* cannot be trained: no gradient"), ("Normed", "give batch=2 or more")],
)
def test_what_cannot_be_trained_is_told(models, name, said):
    made = load(f"{models}:{name}", ("4",), Conditions(backward=True))
    with prepared(made.conditions), pytest.raises(CaptureError, match=said):
        made.first_call()


def test_a_network_trains_with_the_loss_that_training_memory_counts():
    made = load("squeezenet1_1,resolution=48", (), Conditions(batch=2, backward=True))
    with prepared(made.conditions):
        made.first_call()
        made.first_call()
    assert all(p.isfinite().all() for p in made.module.parameters())


@pytest.mark.parametrize(
    ("error", "is_it"),
    [
        (torch.cuda.OutOfMemoryError("CUDA out of memory."), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you"), True),
        (MemoryError(), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("not enough memory"), False),
    ],
)
def test_too_little_memory_is_told_from_other_errors(error, is_it):
    assert out_of_memory(error) is is_it
