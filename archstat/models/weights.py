"""Weights from a file: a state_dict, read without running anything that the file says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from archstat.errors import InputError
from archstat.hints import shortened


def read_weights(path: Path) -> Mapping[str, torch.Tensor]:
    """The state_dict in a file, also where it stands under the key ``state_dict``.

    Raises:
        InputError: the file cannot be read, or holds something else.
    """
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.") from error
    except Exception as error:  # whatever a file that is none makes of the unpickler
        raise InputError(
            f"{path} is not a state_dict that torch.load(..., weights_only=True) reads: "
            f"{shortened(error)[:200]}"
        ) from error
    if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
        state = state["state_dict"]
    if not (
        isinstance(state, Mapping) and all(isinstance(v, torch.Tensor) for v in state.values())
    ):
        raise InputError(f"{path} holds a {type(state).__name__}, not a state_dict of tensors.")
    return state


def load_weights(root: nn.Module, state: Mapping[str, torch.Tensor], origin: str) -> None:
    """Copy a state_dict into a module; `origin` names it in the error.

    Raises:
        InputError: its keys or shapes are not those of the module.
    """
    own = root.state_dict()
    absent = [key for key in own if key not in state]
    foreign = [key for key in state if key not in own]
    unlike = [key for key in own if key in state and own[key].shape != state[key].shape]
    faults = [
        f"{len(keys)} {what} ({', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''})"
        for keys, what in ((absent, "missing"), (foreign, "unknown"), (unlike, "of another shape"))
        if keys
    ]
    if faults:
        raise InputError(f"{origin} does not fit {type(root).__name__}: keys {'; '.join(faults)}.")
    root.load_state_dict(state)
