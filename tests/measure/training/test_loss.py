"""The loss that a training step starts from."""

from __future__ import annotations

from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import nn

from archstat.measure.training.step import training_step

WIDTH, CLASSES, BATCH = 8, 5, 4
Named = namedtuple("Named", "loss logits")


@dataclass
class Output:
    loss: Any
    logits: Any


class Classifier(nn.Module):
    """Its loss leaves the second head out."""

    def __init__(self, wrap):
        super().__init__()
        self.wrap = wrap
        self.head, self.other = nn.Linear(WIDTH, CLASSES), nn.Linear(WIDTH, CLASSES)

    def forward(self, x, labels=None):
        logits, other = self.head(x), self.other(x)
        if labels is None:
            return logits, other
        return self.wrap(nn.functional.cross_entropy(logits, labels), other)


WAYS = {
    "dataclass": Output,
    "dict": lambda loss, logits: {"logits": logits, "loss": loss},
    "ordered dict": lambda loss, logits: OrderedDict(loss=loss, logits=logits),
    "named tuple": Named,
    "tuple": lambda loss, logits: (loss, logits),
    "dict of losses": lambda loss, logits: {"loss_a": loss, "logits": logits},
    "loss alone": lambda loss, logits: loss,
    "one number in a vector": lambda loss, logits: {"loss": loss[None], "logits": logits},
}
X, LABELS = torch.rand(BATCH, WIDTH), torch.zeros(BATCH, dtype=torch.int64)
ONE_HEAD = BATCH * WIDTH * CLASSES


@pytest.mark.parametrize("wrap", WAYS.values(), ids=list(WAYS))
def test_model_with_a_loss_of_its_own_trains_on_that_alone(wrap):
    step = training_step(Classifier(wrap), (X,), {"labels": LABELS})
    assert step.loss == "the model's own"
    assert step.training_macs == 2 * ONE_HEAD + ONE_HEAD
    assert step.gradient_bytes == 4 * (WIDTH * CLASSES + CLASSES)


def test_model_without_a_loss_trains_on_all_its_outputs():
    step = training_step(Classifier(None), (X,))
    assert (step.loss, step.training_macs) == ("cross-entropy", 2 * 2 * ONE_HEAD)


def test_number_that_comes_last_is_no_loss():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.l, self.scale = nn.Linear(WIDTH, CLASSES), nn.Parameter(torch.ones(()))

        def forward(self, x):
            return self.l(x), self.scale.exp()

    assert training_step(Scaled(), (X,)).training_macs == 2 * ONE_HEAD
