"""State dicts in files: the names, shapes and dtypes of tensors, without a forward pass.

No tensor is read: safetensors have a header of JSON, and torch's own files are opened with their
tensors on meta and nothing but tensors allowed. Files in shards have an index beside them.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

from archstat.errors import LookupFailedError
from archstat.graph import BITS, Graph, Module, Role, Storage, Value, bytes_of
from archstat.hints import shortened
from archstat.units import format_bytes

_INDEX = ".index.json"
# A model of 10^5 tensors has a header of 10 MB.
_MOST_BYTES = 100_000_000
# https://github.com/huggingface/safetensors, "Format"
_DTYPES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64",
    "I32": "int32", "I16": "int16", "I8": "int8", "U8": "uint8", "U16": "uint16", "U32": "uint32",
    "U64": "uint64", "BOOL": "bool", "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2",
    "C64": "complex64", "F8_E8M0": "float8_e8m0fnu", "F4": "float4_e2m1fn",
    "F8_E5M2FNUZ": "float8_e5m2fnuz", "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F6_E2M3": "float6_e2m3fn", "F6_E3M2": "float6_e3m2fn",
}  # fmt: skip
# Under these keys people save a state dict beside other things, the likeliest first.
_WRAPPERS = ("state_dict", "model_state_dict", "model", "module", "net", "params", "ema_state_dict")
# By the names of torch's own layers: statistics, which no optimizer changes.
_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
_NO_FORWARD = (
    "holds tensors without a forward pass, so macs, flops, activations, memory and fields are "
    "unknown; parameters are its floating-point tensors, running statistics apart"
)


class Tensor(NamedTuple):
    """A tensor of a file; what shares a `storage` shares its memory."""

    shape: tuple[int, ...]
    dtype: str
    storage: object


def graph_of_tensors(path: Path) -> Graph:
    """The Graph of a file of weights: its parameters and buffers by module, and no op.

    Raises:
        LookupFailedError: the file cannot be read, is damaged, or holds more than tensors.
    """
    tensors = tensors_of(path)
    if not tensors:
        raise LookupFailedError(f"{path} holds no tensor; give a file of weights.")
    values: list[Value] = []
    storages: list[Storage] = []
    known: dict[Tensor, int] = {}
    for name, tensor in tensors.items():
        first = known.get(tensor)
        if first is not None:
            values[first] = values[first]._replace(aliases=(*values[first].aliases, name))
            continue
        known[tensor] = len(values)
        statistic = name.rpartition(".")[2] in _STATISTICS
        trained = not statistic and tensor.dtype.startswith(("float", "bfloat", "complex"))
        role: Role = "parameter" if trained else "buffer"
        values.append(Value(tensor.shape, tensor.dtype, role, len(storages), name, (), trained))
        storages.append(Storage(bytes_of(prod(tensor.shape), tensor.dtype)))
    return Graph(
        name=str(path), ops=(), values=tuple(values), storages=tuple(storages),
        modules=tuple(_modules(path.name, tensors)), notes=(_NO_FORWARD,),
    )  # fmt: skip


def _modules(title: str, tensors: Mapping[str, Tensor]) -> Iterator[Module]:
    """The tree that the names of tensors tell; nothing tells the types."""
    yield Module("", title)
    seen = {""}
    for name in tensors:
        parts = name.split(".")[:-1]
        for depth in range(1, len(parts) + 1):
            place = ".".join(parts[:depth])
            if place not in seen:
                seen.add(place)
                yield Module(place, "")


def tensors_of(path: Path) -> dict[str, Tensor]:
    """The tensors of a file of weights, or of the shards that an index names, by name."""
    try:
        if path.name.endswith(_INDEX):
            return _of_index(path)
        if path.suffix == ".safetensors":
            return _of_safetensors(path)
        return _of_torch(path)
    except LookupFailedError:
        raise
    except OSError as error:
        raise LookupFailedError(f"{path} cannot be read: {error.strerror or error}.") from error
    except Exception as error:  # what a damaged file raises has no bounds
        raise LookupFailedError(
            f"{path} is not a complete file of weights: {shortened(error)}."
        ) from error


def _of_index(path: Path) -> dict[str, Tensor]:
    if path.stat().st_size > _MOST_BYTES:
        raise LookupFailedError(f"{path} is larger than any index.")
    named = json.loads(path.read_bytes())["weight_map"]
    found: dict[str, Tensor] = {}
    for shard in sorted(set(named.values())):
        if not isinstance(shard, str) or Path(shard).name != shard:
            raise LookupFailedError(
                f"{path} names the shard {shard!r}, which is not a file beside it."
            )
        inside = tensors_of(path.parent / shard)
        missing = [n for n, place in named.items() if place == shard and n not in inside]
        if missing:
            raise LookupFailedError(f"{path} says that {shard} holds {missing[0]}; it does not.")
        found.update((n, t) for n, t in inside.items() if named.get(n) == shard)
    return {name: found[name] for name in named}


def _of_safetensors(path: Path) -> dict[str, Tensor]:
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(_MOST_BYTES, size - 8):
            raise LookupFailedError(
                f"{path} is not a complete safetensors file: its header is cut."
            )
        header = json.loads(file.read(length))
    found = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        shape, dtype = tuple(entry["shape"]), _DTYPES.get(entry["dtype"])
        begin, end = entry["data_offsets"]
        whole = all(type(n) is int and n >= 0 for n in (*shape, begin, end))
        if dtype is None:
            raise LookupFailedError(f"{path}: {name} has the unknown dtype {entry['dtype']!r}.")
        if not whole or end - begin != bytes_of(prod(shape), dtype) or end > size - 8 - length:
            raise LookupFailedError(f"{path} is damaged: {name} does not lie inside it.")
        found[name] = Tensor(shape, dtype, begin if end > begin else name)
    return found


def _of_torch(path: Path) -> dict[str, Tensor]:
    import torch

    _refuse_code(path)
    try:
        loaded = torch.load(path, map_location="meta", weights_only=True, mmap=_is_zip(path))
    except OSError:
        raise
    except Exception as error:
        raise LookupFailedError(
            f"{path} is damaged, or holds more than tensors ({type(error).__name__}): archstat "
            "runs no pickled code; save model.state_dict() instead."
        ) from error
    tensors = _state_dict(loaded)
    if tensors is None:
        raise LookupFailedError(
            f"{path} holds a {type(loaded).__name__} without tensors by name; "
            "save model.state_dict()."
        )
    # All are kept, so that no two have one identity.
    storages = {name: tensor.untyped_storage() for name, tensor in tensors.items()}
    found = {}
    for name, tensor in tensors.items():
        shape, dtype = tuple(tensor.shape), str(tensor.dtype).removeprefix("torch.")
        if dtype == "float4_e2m1fn_x2":
            shape, dtype = (*shape[:-1], 2 * shape[-1]), "float4_e2m1fn"
        if dtype not in BITS:
            raise LookupFailedError(f"{path}: {name} has the unknown dtype {dtype!r}.")
        found[name] = Tensor(shape, dtype, (id(storages[name]), tensor.storage_offset()))
    return found


def _state_dict(loaded: Any) -> Mapping[str, Any] | None:
    """The tensors by name, as they are or under one of the usual keys."""
    import torch

    if not isinstance(loaded, Mapping):
        return None
    found = {str(k): t for k, t in loaded.items() if isinstance(t, torch.Tensor)}
    if found:
        return found
    inner = [loaded[key] for key in _WRAPPERS if key in loaded]
    return next(filter(None, map(_state_dict, inner)), None)


def _is_zip(path: Path) -> bool:
    return zipfile.is_zipfile(path)


def _refuse_code(path: Path) -> None:
    """Refuse archives of code, and pickles that no state dict has."""
    if not _is_zip(path):
        if path.stat().st_size == 0:
            raise LookupFailedError(f"{path} is empty.")
        return
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
    if any(entry.filename.endswith("constants.pkl") for entry in entries):
        raise LookupFailedError(
            f"{path} is a TorchScript archive, which holds code: give the model as FILE.py:NAME, "
            "or export it with torch.export.save to a .pt2 file."
        )
    pickled = sum(entry.file_size for entry in entries if entry.filename.endswith(".pkl"))
    if pickled > _MOST_BYTES:
        raise LookupFailedError(
            f"{path} holds {format_bytes(pickled)} of pickled objects, which no state dict does."
        )
