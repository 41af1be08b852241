"""Tensors from input specs, specs from what `analyze` takes, and guesses that really run."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from archstat.errors import InputError
from archstat.frontends.inputs import input_specs, tensors_for, working_inputs
from archstat.frontends.module import capture
from archstat.units import InputSpec

# -- from specs to tensors -------------------------------------------------------------------------


def test_batch_comes_first_and_nothing_is_allocated():
    (image,), named = tensors_for((InputSpec((3, 8, 8)),), 4, nn.Conv2d(3, 4, 3))
    assert image.shape == (4, 3, 8, 8)
    assert image.is_meta
    assert named == {}


def test_input_without_a_batch_keeps_its_shape():
    (image,), _ = tensors_for((InputSpec((3, 8, 8), batched=False),), 4, nn.Conv2d(3, 4, 3))
    assert image.shape == (3, 8, 8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_type_is_that_of_the_first_floating_point_parameter(dtype):
    (image,), _ = tensors_for((InputSpec((3, 8, 8)),), 1, nn.Conv2d(3, 4, 3, dtype=dtype))
    assert image.dtype == dtype


def test_parameters_of_whole_numbers_do_not_set_the_type():
    model = nn.Linear(4, 4, dtype=torch.bfloat16)
    counts = nn.ParameterList([nn.Parameter(torch.zeros(2, dtype=torch.int8), requires_grad=False)])
    (x,), _ = tensors_for((InputSpec((4,)),), 1, nn.Sequential(counts, model))
    assert x.dtype == torch.bfloat16


def test_model_without_parameters_gets_the_default_type():
    (x,), _ = tensors_for((InputSpec((4,)),), 1, nn.ReLU())
    assert x.dtype == torch.get_default_dtype()


def test_type_of_the_spec_comes_before_that_of_the_model():
    (tokens,), _ = tensors_for((InputSpec((128,), "int64"),), 1, nn.Linear(4, 4))
    assert tokens.dtype == torch.int64


def test_named_inputs_are_keywords_and_the_others_stand_in_order():
    class Masked(nn.Module):
        def forward(self, one, other, mask):
            return one

    specs = (InputSpec((1,)), InputSpec((2,), name="mask"), InputSpec((3,)))
    positional, named = tensors_for(specs, 1, Masked())
    assert [tuple(tensor.shape) for tensor in positional] == [(1, 1), (1, 3)]
    assert {name: tuple(tensor.shape) for name, tensor in named.items()} == {"mask": (1, 2)}


def test_scalar_has_the_batch_alone():
    (x,), _ = tensors_for((InputSpec(()),), 5, nn.ReLU())
    assert x.shape == (5,)


@pytest.mark.parametrize(
    ("shape", "batch"),
    [((3, 8), 10**30), ((2**31 - 1,) * 3, 1), ((2**70,), 1)],
    ids=["batch", "product", "size"],
)
def test_size_that_no_tensor_has_is_refused(shape, batch):
    with pytest.raises(InputError):
        tensors_for((InputSpec(shape),), batch, nn.ReLU())


# -- from what `analyze` takes to specs ------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    ["3x8x8", (3, 8, 8), [3, 8, 8], torch.Size([3, 8, 8]), InputSpec((3, 8, 8)), ["3x8x8"],
     [(3, 8, 8)], ((3, 8, 8),)],
)  # fmt: skip
def test_one_shape_may_be_given_in_many_ways(given):
    assert input_specs(given) == (InputSpec((3, 8, 8)),)


def test_text_may_have_a_name_a_type_and_no_batch():
    assert input_specs("tokens=128:int64:nobatch") == (
        InputSpec((128,), "int64", "tokens", batched=False),
    )


def test_list_has_an_input_an_item():
    assert input_specs(["3x8x8", (4,), "mask=5"]) == (
        InputSpec((3, 8, 8)),
        InputSpec((4,)),
        InputSpec((5,), name="mask"),
    )


def test_dict_names_its_inputs():
    assert input_specs({"left": (3, 8), "tokens": "128:int64", "flag": ()}) == (
        InputSpec((3, 8), name="left"),
        InputSpec((128,), "int64", "tokens"),
        InputSpec((), name="flag"),
    )


@pytest.mark.parametrize(
    "given",
    [3, 2.5, b"3x8x8", (3, 8.0), (3, "8"), (True, 8), {"x": 5}, {"x": None}, [None], "",
     "3x", "3x8:quaternion", (0, 8), (3, -8), {"x": [(3, 8), (4, 8)]}],
    ids=repr,
)  # fmt: skip
def test_what_is_no_shape_is_refused(given):
    with pytest.raises(InputError):
        input_specs(given)


def test_tensor_is_refused_with_what_takes_one():
    with pytest.raises(InputError, match=r"archstat\.capture"):
        input_specs(torch.zeros(1, 3, 8, 8))


# -- guesses ---------------------------------------------------------------------------------------


class TwoImages(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, left, right):
        return self.conv(left) + self.conv(right)


class KeywordOnly(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, *, image):
        return self.conv(image)


class WithOptional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 2)

    def forward(self, x, mask=None, *, scale=1.0):
        return self.fc(x) * scale


class FixedSize(nn.Module):
    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 4, 3, padding=1)
        self.fc = nn.Linear(4 * side * side, 10)

    def forward(self, x):
        return self.fc(self.conv(x).flatten(1))


class ImageOfRows(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(28 * 28, 10)

    def forward(self, x):
        batch, _, _, _ = x.shape
        return self.fc(x.reshape(batch, -1))


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (nn.Conv1d(4, 8, 3), ["4x1000"]),
        (nn.Conv2d(3, 8, 3), ["3x224x224"]),
        (nn.Conv3d(3, 8, 3), ["3x16x112x112"]),
        (nn.Linear(6, 2), ["6"]),
        (nn.Embedding(100, 8), ["128:int64"]),
        (nn.Sequential(nn.Embedding(100, 8), nn.Linear(8, 2)), ["128:int64"]),
        (nn.LSTM(6, 8), ["128x6"]),
        (nn.GRU(6, 8, batch_first=True), ["128x6"]),
        (nn.RNN(6, 8, num_layers=2), ["128x6"]),
        (TwoImages(), ["left=3x224x224", "right=3x224x224"]),
        (KeywordOnly(), ["image=3x224x224"]),
        (WithOptional(), ["6"]),
        (FixedSize(3, 32), ["3x32x32"]),
        (FixedSize(1, 28), ["1x28x28"]),
        (ImageOfRows(), ["1x28x28"]),
        (nn.Sequential(nn.Flatten(), nn.Linear(28 * 28, 10)), ["784"]),
        (nn.Conv2d(3, 8, 3, dtype=torch.bfloat16), ["3x224x224"]),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "-".join(value),
)
def test_guess_is_an_input_that_runs(model, expected):
    specs = working_inputs(model, 2)
    assert specs is not None
    assert [str(spec) for spec in specs] == expected
    args, kwargs = tensors_for(specs, 2, model)
    assert capture(model, *args, **kwargs).outputs


@pytest.mark.parametrize(
    ("model", "refused", "expected"),
    [
        (nn.Conv2d(3, 8, 3), (1, 3, 40, 48), "3x40x48"),
        (nn.Conv2d(3, 8, 3), (1, 40, 48, 3), "3x40x48"),
        (nn.Conv2d(3, 8, 3), (40, 48, 3), "3x40x48"),
        (nn.Conv2d(3, 8, 3), (1, 40, 48), "3x40x48"),
        (nn.Conv2d(3, 8, 3), (40, 48), "3x40x48"),
        (nn.Conv1d(3, 8, 3), (1, 40), "3x40"),
        (nn.Conv3d(3, 8, 3), (1, 3, 4, 5, 6), "3x4x5x6"),
        (nn.Linear(6, 8), (4, 5), "4x6"),
        (nn.LSTM(6, 8), (4, 5), "4x6"),
        (nn.Embedding(9, 4), (40,), "40:int64"),
        (FixedSize(3, 32), (1, 3, 64, 64), "3x32x32"),
    ],
    ids=str,
)
def test_guess_is_like_what_was_refused(model, refused, expected):
    specs = working_inputs(model, 2, (InputSpec(refused),))
    assert specs is not None
    assert [str(spec) for spec in specs] == [expected]


@pytest.mark.parametrize(("name", "said"), [("lft", "Did you mean left"), ("zzz", "left, right")])
def test_input_of_a_name_that_forward_lacks_gets_the_nearest(name, said):
    with pytest.raises(InputError, match=said):
        tensors_for([InputSpec((3, 8, 8), name=name)], 1, TwoImages())


def test_forward_that_takes_any_name_is_believed():
    class Free(nn.Module):
        def forward(self, **inputs):
            return inputs["image"]

    _, named = tensors_for([InputSpec((3,), name="image")], 1, Free())
    assert named["image"].shape == (1, 3)


def test_model_that_runs_with_nothing_known_gets_no_guess():
    class Stubborn(nn.Module):
        def forward(self, x):
            raise ValueError("never")

    assert working_inputs(Stubborn(), 1) is None


def test_guessing_leaves_the_model_alone():
    model = FixedSize(3, 32).train()
    model.conv.requires_grad_(False)
    before = {name: (id(t), t._version) for name, t in model.state_dict(keep_vars=True).items()}
    generator = torch.get_rng_state()
    working_inputs(model, 1)
    after = {name: (id(t), t._version) for name, t in model.state_dict(keep_vars=True).items()}
    assert after == before
    assert model.training
    assert torch.equal(torch.get_rng_state(), generator)
