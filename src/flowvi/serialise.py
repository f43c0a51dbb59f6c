"""Flows and networks as files, without pickle: what is read is data, and never runs."""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import zipfile
import zlib
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from flowvi.errors import SaveError

_FORMAT = 3
_STRUCTURE = "structure"

_PACKAGES = "bijections", "flows", "vae", "amortized"
"""Whose classes a file may name."""

_FUNCTIONS = {
    "silu": jax.nn.silu, "relu": jax.nn.relu, "elu": jax.nn.elu, "softplus": jax.nn.softplus,
    "sigmoid": jax.nn.sigmoid, "tanh": jnp.tanh, "arctan": jnp.arctan, "arcsinh": jnp.arcsinh, "sin": jnp.sin,
    "erf": jax.scipy.special.erf,
}  # fmt: skip


def save_module(module: eqx.Module, path: str | os.PathLike) -> None:
    """Write a flow, bijection, base distribution or autoencoder to one `.npz` file: its arrays, and its
    structure as JSON.

    The file is replaced in one step, so that a crash leaves the old one. Made of flowvi's own classes only: a
    file names classes, and nothing of it is executed.

    Raises:
        SaveError: the module holds something that is not flowvi's, or the file cannot be written.

    Example:
        >>> import flowvi, tempfile
        >>> path = tempfile.mkdtemp() + "/flow.npz"
        >>> flowvi.save_module(flowvi.flows.real_nvp(2, key=0), path)
        >>> flowvi.load_module(path).sample(0, (3,)).shape
        (3, 2)
    """
    path = Path(path)
    arrays: dict[str, np.ndarray] = {}
    structure = {"format": _FORMAT, "module": _encode(module, type(module).__name__, arrays)}
    unfinished = path.with_name(path.name + ".unfinished")
    try:
        with open(unfinished, "wb") as file:
            np.savez(file, allow_pickle=False, **{_STRUCTURE: np.asarray(json.dumps(structure)), **arrays})
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except OSError as error:
        reason = error.strerror or error
        raise SaveError(f"Cannot write {path}: {reason}. Choose a directory you can write to.") from error


def load_module(path: str | os.PathLike) -> Any:
    """What `save_module` wrote, with the same arrays bit for bit.

    Raises:
        SaveError: the file is missing, damaged, or not written by `save_module` of this or an older version.

    Example:
        >>> import flowvi, tempfile
        >>> path = tempfile.mkdtemp() + "/flow.npz"
        >>> flowvi.save_module(flowvi.flows.Normal(2), path)
        >>> flowvi.load_module(path)
        Normal(dim=2)
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            archive = np.load(file, allow_pickle=False)
            arrays = {name: archive[name] for name in archive.files}
        structure = json.loads(str(arrays[_STRUCTURE]))
        if structure["format"] != _FORMAT:
            raise SaveError(
                f"{path} has format {structure['format']!r}, but this version of flowvi reads {_FORMAT}. "
                "Load it with the version that wrote it."
            )
        # the arrays keep their precision whatever JAX's flag says
        with jax.enable_x64(True):
            return _decode(structure["module"], arrays)
    except FileNotFoundError as error:
        raise SaveError(f"There is no file {path}.") from error
    except OSError as error:
        raise SaveError(f"Cannot read {path}: {error.strerror or error}.") from error
    except _DAMAGE as error:
        raise SaveError(f"{path} is damaged, or was not written by flowvi.") from error


# what reading bytes, JSON and a structure that are not as written can raise
_DAMAGE = (
    zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError,
    ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError,
)  # fmt: skip


def _class_of(name: str) -> type:
    """The module class that "package.Class" names.

    Raises:
        ValueError: there is none.
    """
    package, _, short = name.partition(".")
    found = getattr(importlib.import_module(f"flowvi.{package}"), short) if package in _PACKAGES else None
    if not (isinstance(found, type) and issubclass(found, eqx.Module)):
        raise ValueError(f"no class of flowvi is named {name!r}")
    return found


def _name_of(cls: type) -> str | None:
    """What `_class_of` finds it by; None for other classes than flowvi's."""
    library, _, path = cls.__module__.partition(".")
    name = f"{path.partition('.')[0]}.{cls.__name__}"
    try:
        return name if library == "flowvi" and _class_of(name) is cls else None
    except (ValueError, AttributeError):
        return None


def _encode(value: Any, where: str, arrays: dict[str, np.ndarray]) -> Any:
    """JSON for a value; arrays are put aside under new names. `where` says where it stands, for errors."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, jax.Array | np.ndarray):
        name = f"array{len(arrays)}"
        arrays[name] = np.asarray(value)
        return {"kind": "numpy" if isinstance(value, np.ndarray) else "jax", "array": name}
    if type(value) in (list, tuple):
        items = [_encode(item, f"{where}[{i}]", arrays) for i, item in enumerate(value)]
        return {"kind": type(value).__name__, "items": items}
    if isinstance(value, dict):
        items = [_encode(pair, f"{where}.items()", arrays) for pair in value.items()]
        return {"kind": "dict", "items": items}
    name = _name_of(type(value))
    if name is not None:
        # a field left at its default is not in `vars`, and a copy that has it would be compiled anew
        fields = [field.name for field in dataclasses.fields(value) if field.name in vars(value)]
        encoded = {field: _encode(getattr(value, field), f"{where}.{field}", arrays) for field in fields}
        return {"kind": "module", "class": name, "fields": encoded}
    for name, function in _FUNCTIONS.items():
        if value is function:
            return {"kind": "function", "name": name}
    raise SaveError(
        f"{where} is a {type(value).__module__}.{type(value).__qualname__}, which cannot be saved. Only what "
        "flowvi's own flows and networks are made of can be."
    )


def _decode(node: Any, arrays: dict[str, np.ndarray]) -> Any:
    if not isinstance(node, dict):
        return node
    match node["kind"]:
        case "numpy":
            return arrays[node["array"]]
        case "jax":
            return jnp.asarray(arrays[node["array"]])
        case "list":
            return [_decode(item, arrays) for item in node["items"]]
        case "tuple":
            return tuple(_decode(item, arrays) for item in node["items"])
        case "dict":
            return dict(_decode(pair, arrays) for pair in node["items"])
        case "function":
            return _FUNCTIONS[node["name"]]
        case "module":
            return _module(_class_of(node["class"]), node["fields"], arrays)
        case kind:
            raise ValueError(f"unknown kind {kind!r}")


def _module(cls: type, fields: dict[str, Any], arrays: dict[str, np.ndarray]) -> Any:
    """A module with these fields; constructors take other arguments, so they are not called."""
    names = {field.name for field in dataclasses.fields(cls)}
    unknown = set(fields) - names
    missing = {name for name in names - set(fields) if not hasattr(cls, name)}
    if unknown or missing:
        raise ValueError(f"{cls.__name__} has unknown fields {unknown} and lacks {missing}")
    module = object.__new__(cls)
    for name, node in fields.items():
        object.__setattr__(module, name, _decode(node, arrays))
    return module
