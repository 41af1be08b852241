"""Which dimensions of the input are the axes: told by the first window, or else with a note."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from archstat import capture
from archstat.analyses.field import receptive_field
from archstat.errors import SpatialAxesError


class Block(nn.Module):
    def __init__(self, function, *layers):
        super().__init__()
        self.function, self.layers = function, nn.ModuleList(layers)

    def forward(self, x):
        return self.function(x, *self.layers)


def fields_of(module, *shape, dtype=torch.float32):
    return receptive_field(capture(module.eval(), torch.zeros(shape, dtype=dtype)))


def conv1d(before, kernel=5, stride=1):
    return nn.Conv1d(before, 8, kernel, stride, padding=kernel // 2)


def conv2d(before, kernel=5):
    return nn.Conv2d(before, 8, kernel, padding=kernel // 2)


TOLD = {
    "steps before features": (Block(lambda x, c: c(x.transpose(1, 2)), conv1d(6)), (1, 40, 6),
                              (1,), (5,)),
    "features mixed first": (
        Block(lambda x, m, c: c(m(x).transpose(1, 2)), nn.Linear(6, 4), conv1d(4)), (2, 40, 6),
        (1,), (5,),
    ),
    "steps alone": (Block(lambda x, c: c(x.unsqueeze(1)), conv1d(1, stride=2)), (1, 40),
                    (1,), (5,)),
    "channels last": (Block(lambda x, c: c(x.permute(0, 3, 1, 2)), conv2d(3)), (1, 20, 30, 3),
                      (1, 2), (5, 5)),
    "normed, channels last": (
        Block(lambda x, n, c: c(n(x).movedim(-1, 1)), nn.LayerNorm(3), conv2d(3)), (2, 9, 7, 3),
        (1, 2), (5, 5),
    ),
    "frames": (Block(lambda x, c: c(x.flatten(0, 1)), conv2d(3)), (2, 7, 3, 20, 30),
               (3, 4), (5, 5)),
    "frames put together again": (
        Block(lambda x, c: c(x.flatten(0, 1)).view(2, 7, 8, 20, 30).mean(1), conv2d(3)),
        (2, 7, 3, 20, 30), (3, 4), (5, 5),
    ),
    "an image without a batch": (nn.Sequential(conv2d(3), nn.MaxPool2d(2)), (3, 20, 30),
                                 (1, 2), (6, 6)),
    "a signal without a batch": (conv1d(3), (3, 20), (1,), (5,)),
    "a recurrence, batch first": (
        Block(lambda x, r: r(x)[0], nn.LSTM(6, 4, batch_first=True)), (1, 12, 6), (1,), (12,)
    ),
    "a recurrence, steps first": (Block(lambda x, r: r(x)[0], nn.GRU(6, 4)), (12, 2, 6),
                                  (0,), (12,)),
}  # fmt: skip


@pytest.mark.parametrize("name", TOLD)
def test_first_window_tells_the_axes_and_a_note_names_them(name):
    module, shape, dims, field = TOLD[name]
    fields = fields_of(module, *shape)
    assert fields.dims == dims
    assert fields.final.receptive_field == field
    assert fields.input_sizes == tuple(shape[dim] for dim in dims)
    assert any("over which the first window slides" in note.text for note in fields.findings)


def test_tokens_that_a_window_slides_over_have_an_axis():
    module = Block(lambda x, e, c: c(e(x).transpose(1, 2)), nn.Embedding(10, 4), conv1d(4))
    fields = fields_of(module, 1, 40, dtype=torch.int64)
    assert (fields.dims, fields.final.receptive_field) == ((1,), (5,))


USUAL = {
    "an image": (conv2d(3), (1, 3, 20, 30), (2, 3)),
    "normalised first": (Block(lambda x, c: c((x - 0.5) / 0.2), conv2d(3)), (1, 3, 8, 8), (2, 3)),
    "one column": (conv2d(3), (1, 3, 20, 1), (2, 3)),
    "rows as a batch": (
        Block(lambda x, c: c(x.permute(0, 2, 1, 3).reshape(8, 1, 10)), conv1d(1)), (1, 1, 8, 10),
        (2, 3),
    ),
    "pooled along rows first": (
        Block(lambda x, c: x * c(x.mean(2)).unsqueeze(2), nn.Conv1d(3, 3, 5, padding=2)),
        (1, 3, 8, 10), (2, 3),
    ),
    "a volume": (nn.Conv3d(1, 2, 3), (1, 1, 6, 7, 8), (2, 3, 4)),
}  # fmt: skip


@pytest.mark.parametrize("name", USUAL)
def test_usual_axes_need_no_note(name):
    module, shape, dims = USUAL[name]
    fields = fields_of(module, *shape)
    assert fields.dims == dims
    assert fields.findings == ()


def test_network_without_a_window_says_what_counts_as_axes():
    fields = fields_of(Block(lambda x, m: m(x.flatten(2)), nn.Linear(64, 10)), 1, 3, 8, 8)
    assert fields.dims == (2, 3)
    assert "no window tells which dimensions are positions" in fields.findings[0].text


@pytest.mark.parametrize(
    ("module", "shape", "dtype"),
    [
        (nn.Linear(6, 4), (1, 6), torch.float32),
        (nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), (1, 12, 8), torch.float32),
        (nn.Embedding(10, 4), (1, 40), torch.int64),
    ],
)
def test_features_and_tokens_without_a_window_have_no_axes(module, shape, dtype):
    with pytest.raises(SpatialAxesError, match="has no spatial axes"):
        fields_of(module, *shape, dtype=dtype)
