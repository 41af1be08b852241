"""Programs that `torch.export` made, read without running any of them.

A file's JSON is read by itself: torch's own loader evaluates expressions and reads all weights.
The schema is that of torch 2.5 and newer (major version 8).
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from archstat.errors import LookupFailedError
from archstat.frontends.exported.functions import clean_path, function_named, needs_functions
from archstat.frontends.exported.program import ProgramModule, program_module
from archstat.frontends.exported.steps import Given, Held, Place, Program, Ref, Step, SubProgram
from archstat.hints import shortened
from archstat.units import format_bytes

SCHEMA = 8
# A network of 10^5 operators takes 100 MB; more than this is no graph.
_MOST_BYTES, _MOST_PACKED = 1 << 27, 100

_DTYPES: Mapping[int, torch.dtype] = MappingProxyType({
    1: torch.uint8, 2: torch.int8, 3: torch.int16, 4: torch.int32, 5: torch.int64,
    6: torch.float16, 7: torch.float32, 8: torch.float64, 9: torch.complex32,
    10: torch.complex64, 11: torch.complex128, 12: torch.bool, 13: torch.bfloat16,
    28: torch.uint16, 29: torch.float8_e4m3fn, 30: torch.float8_e5m2,
    31: torch.float8_e4m3fnuz, 32: torch.float8_e5m2fnuz, 34: torch.uint32, 35: torch.uint64,
})  # fmt: skip
_LAYOUTS = MappingProxyType({7: torch.strided, 1: torch.sparse_coo, 2: torch.sparse_csr})
_FORMATS = MappingProxyType({
    1: torch.contiguous_format, 2: torch.channels_last, 3: torch.channels_last_3d,
    4: torch.preserve_format,
})  # fmt: skip
_META = torch.device("meta")


def exported_file(path: Path) -> ProgramModule:
    """The program in a ``.pt2`` file, as a module.

    Raises:
        LookupFailedError: there is no such file, or it is no exported program of a known schema.
    """
    model, weights = _documents(path)
    try:
        return program_module(_Reader(path.name, model, weights).program())
    except Exception as error:  # what a damaged file raises has no bounds
        raise LookupFailedError(
            f"{path} is not an exported program that archstat can read: {shortened(error)}."
        ) from error


def _documents(path: Path) -> tuple[Any, Any]:
    """The JSON of the graph and that of the weights; no weight is read."""
    try:
        with zipfile.ZipFile(path) as archive:
            model = _document(path, archive, "models/", ".json")
            weights = _document(path, archive, "data/weights/", "_weights_config.json")
            version = model["schema_version"]["major"]
    except LookupFailedError:
        raise
    except OSError as error:
        raise LookupFailedError(f"{path} cannot be read: {error.strerror}.") from error
    except Exception as error:  # a broken archive raises whatever it likes
        raise LookupFailedError(
            f"{path} is not a whole .pt2 file ({shortened(error)}); write it again with "
            "torch.export.save."
        ) from error
    if version != SCHEMA:
        raise LookupFailedError(
            f"{path} has version {version} of the schema of exported programs; archstat reads "
            f"{SCHEMA}: export it again with a newer torch."
        )
    return model, weights.get("config", {})


def _document(path: Path, archive: zipfile.ZipFile, folder: str, end: str) -> Any:
    found = [entry for entry in archive.infolist()
             if entry.filename.partition("/")[2].startswith(folder)
             and entry.filename.endswith(end)]  # fmt: skip
    if len(found) != 1:
        what = f"{len(found)} programs" if found else "no exported program"
        raise LookupFailedError(f"{path} holds {what}; write one with torch.export.save.")
    bomb = found[0].file_size > _MOST_PACKED * max(found[0].compress_size, 1 << 12)
    if bomb or found[0].file_size > _MOST_BYTES:
        raise LookupFailedError(
            f"{path} holds a graph of {format_bytes(found[0].file_size)}, which no program has."
        )
    # A zip bomb lies about its size: no more than that is read.
    with archive.open(found[0]) as file:
        return json.loads(file.read(_MOST_BYTES + 1).decode())


class _Reader:
    """Reads the JSON of one program."""

    def __init__(self, title: str, model: Any, weights: Any) -> None:
        self.title, self.module, self.weights = title, model["graph_module"], weights
        self.tensors: dict[Any, torch.Tensor] = {}
        self.graph = self.module["graph"]
        self.functions: dict[str, Any] = {}
        self.places: dict[str, Place] = {}
        self.needs_functions = False

    def program(self) -> Program:
        """The whole program."""
        given, held = [], []
        for spec in self.module["signature"]["input_specs"]:
            ((sort, entry),) = spec.items()
            if sort == "user_input":
                given.append(self._given(entry["arg"]))
            elif sort == "constant_input":
                (value,) = entry["value"].values()
                given.append(Given(entry["name"], None, value=value))
            elif sort in ("parameter", "buffer", "tensor_constant"):
                held.append(self._held(sort, entry))
        steps = tuple(self._steps(self.graph))
        outputs = self.module["signature"]["output_specs"]
        returned = [self._argument(spec["user_output"]["arg"]) for spec in outputs
                    if "user_output" in spec]  # fmt: skip
        return Program(
            self.title, tuple(given), tuple(held), steps,
            returned[0] if len(returned) == 1 else tuple(returned), self.needs_functions,
        )  # fmt: skip

    def _given(self, argument: Any) -> Given:
        ((sort, entry),) = argument.items()
        if sort != "as_tensor":
            return Given(entry.get("name") or entry["as_name"], None)
        meta = self.graph["tensor_values"][entry["name"]]
        shape = tuple(size.get("as_int") for size in meta["sizes"])
        return Given(entry["name"], shape, _DTYPES[meta["dtype"]], None, _sizes(meta["sizes"]))

    def _held(self, sort: str, entry: Any) -> Held:
        name, path = entry["arg"]["name"], entry[f"{sort}_name"]
        meta = self.graph["tensor_values"][name]
        # What is one tensor under several paths has one file.
        file = self.weights.get(path, {}).get("path_name", name)
        sizes, strides = _sizes(meta["sizes"]), _sizes(meta["strides"])
        key = file, meta["dtype"], sizes, strides, repr(meta["storage_offset"])
        tensor = self.tensors.get(key)
        if tensor is None:
            dtype = _DTYPES[meta["dtype"]]
            tensor = torch.empty_strided(sizes, strides, dtype=dtype, device=_META)
            if sort == "parameter":
                tensor = torch.nn.Parameter(tensor, meta["requires_grad"])
            self.tensors[key] = tensor
        return Held(name, path, tensor, sort == "tensor_constant")

    def _steps(self, graph: Any) -> Iterator[Step]:
        for node in graph["nodes"]:
            function = self._function(node["target"])
            if function is None:
                continue
            args, kwargs = [], {}
            for named in node["inputs"]:
                if named.get("kind") == 2:
                    kwargs[named["name"]] = self._argument(named["arg"])
                else:
                    args.append(self._argument(named["arg"]))
            outputs = [_output(output) for output in node["outputs"]]
            single = len(outputs) == 1 and not _returns_several(node)
            yield Step(
                function, tuple(args), kwargs, outputs[0] if single else tuple(outputs),
                self._places(node["metadata"].get("nn_module_stack", "")),
            )  # fmt: skip

    def _places(self, stack: str) -> tuple[Place, ...]:
        """Each module around a node, outermost first, from ``key,path,type;key,path,type``."""
        entries = [entry for entry in stack.split(";") if entry]
        for entry in entries:
            if entry not in self.places:
                key, path, kind = entry.split(",")[:3]
                self.places[entry] = Place(key, clean_path(path), kind)
        return tuple([self.places[entry] for entry in entries])

    def _function(self, target: str) -> Callable[..., Any] | None:
        if target not in self.functions:
            self.functions[target] = function_named(target)
        function = self.functions[target]
        self.needs_functions |= needs_functions(function)
        return function  # type: ignore[no-any-return]

    def _argument(self, argument: Any) -> Any:
        ((sort, value),) = argument.items()
        if sort == "as_tensor":
            return Ref(value["name"])
        if sort in ("as_none", "as_optional_tensor") and not isinstance(value, dict):
            return None
        if sort in ("as_token", "as_custom_obj"):
            return Ref(value["name"])
        if sort == "as_tensors":
            return [Ref(item["name"]) for item in value]
        if sort in ("as_optional_tensors", "as_sym_ints", "as_sym_floats", "as_sym_bools"):
            return [self._argument(item) for item in value]
        if sort in ("as_sym_int", "as_sym_float", "as_sym_bool", "as_optional_tensor"):
            return self._argument(value)
        if sort == "as_name":
            return Ref(value)
        if sort == "as_graph":
            return self._sub_program(value["graph"])
        read = _VALUES.get(sort)
        return value if read is None else read(value)

    def _sub_program(self, graph: Any) -> SubProgram:
        takes = [_output(item) for item in graph["inputs"]]
        returned = [self._argument(output) for output in graph["outputs"]]
        single = graph.get("is_single_tensor_return")
        return SubProgram(
            takes, list(self._steps(graph)), returned[0] if single else tuple(returned)
        )


_VALUES: Mapping[str, Callable[[Any], Any]] = MappingProxyType({
    "as_scalar_type": _DTYPES.__getitem__, "as_layout": _LAYOUTS.__getitem__,
    "as_memory_format": _FORMATS.__getitem__,
    "as_device": lambda value: torch.device("cpu" if value["type"] == "cpu" else "meta"),
    "as_complex": lambda value: complex(value["real"], value["imag"]),
    "as_float": float,
})  # fmt: skip


def _sizes(sizes: Any) -> tuple[int, ...]:
    """Sizes of the example; those that may change have it as a hint."""
    return tuple([s["as_int"] if "as_int" in s else s["as_expr"]["hint"]["as_int"] for s in sizes])


def _output(argument: Any) -> Any:
    ((sort, value),) = argument.items()
    if sort == "as_none" or value is None:
        return None
    if sort.endswith("s") and isinstance(value, list):
        return tuple(_output(item) if len(item) == 1 and "name" not in item else item["name"]
                     for item in value)  # fmt: skip
    return value if isinstance(value, str) else value.get("name") or value.get("as_name")


def _returns_several(node: Any) -> bool:
    """Whether an operator of regions returns a tuple of one."""
    if not node["target"].startswith("torch.ops.higher_order."):
        return False
    return not node.get("is_hop_single_tensor_return")
