"""A directory that holds a posterior: data only, and never half of it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from flowvi.errors import SaveError
from flowvi.flows import Flow
from flowvi.serialise import load_module, save_module

_FORMAT = 1
_HEAD = "posterior.json"
_ARRAYS = "arrays.npz"
_FLOW = "flow.npz"
_CONTENTS = re.compile(r"contents-[0-9a-f]+")


class Stored(NamedTuple):
    """What a directory holds.

    Attributes:
        facts: numbers, strings, and lists and dicts of them, by name; nan and inf are kept.
        arrays: of numbers, booleans, strings or dates, by name; `np.savez` takes "file" for itself.
        q: the flow.
    """

    facts: dict[str, Any]
    arrays: dict[str, np.ndarray]
    q: Flow


def write(path: str | os.PathLike, stored: Stored) -> None:
    """Write to a directory, which may hold an older posterior and files of others.

    `posterior.json` names the subdirectory with the rest, and is replaced in one step once all of that is on
    disk: after a crash or on a full disk the older posterior is still there, whole.

    Raises:
        SaveError: the directory cannot be written to, or the flow has parts that are not flowvi's.

    Example:
        >>> import flowvi, tempfile
        >>> path = tempfile.mkdtemp()
        >>> write(path, Stored({"x": 1.5}, {"z": np.zeros(3)}, flowvi.flows.gaussian(2)))
        >>> read(path).facts["x"]
        1.5
    """
    path = Path(path)
    if os.path.isfile(path):
        raise SaveError(f"Cannot save to {path}: it is a file. Give the name of a directory.")
    older = _contents_of(path)
    contents = path / f"contents-{secrets.token_hex(4)}"
    try:
        contents.mkdir(parents=True)
        _write_contents(contents, stored)
        os.replace(contents / _HEAD, path / _HEAD)
    except OSError as error:
        raise SaveError(
            f"Cannot save to {path}: {error.strerror or error}. What was there before is unchanged; choose a "
            "directory with room that you can write to."
        ) from error
    finally:
        # an interrupt may fall just after the last step
        if _contents_of(path) != contents:
            shutil.rmtree(contents, ignore_errors=True)
    if older is not None:
        shutil.rmtree(older, ignore_errors=True)


def read(path: str | os.PathLike) -> Stored:
    """What `write` wrote, with the same floats bit for bit; nothing in the files is executed.

    Raises:
        SaveError: there is no posterior in the directory, or it is damaged, or of another version.
    """
    path = Path(path)
    if not os.path.isfile(path / _HEAD):
        raise SaveError(
            f"There is no posterior in {path} (no {_HEAD}). Give a directory that `posterior.save` wrote."
        )
    with damage_as_error(path):
        facts = json.loads((path / _HEAD).read_text(encoding="utf-8"))
        if facts["format"] != _FORMAT:
            raise SaveError(
                f"The posterior in {path} has format {facts['format']!r}, and this version of flowvi reads "
                f"{_FORMAT}. Load it with the version that wrote it."
            )
        contents = _contents(path, facts)
        # opened here, since np.load does not close a file that is no archive
        with open(contents / _ARRAYS, "rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        return Stored(facts, arrays, load_module(contents / _FLOW))


@contextlib.contextmanager
def damage_as_error(path: str | os.PathLike) -> Iterator[None]:
    """Turn whatever files that are not as they were written make Python raise into one error.

    Raises:
        SaveError: the code inside raised such an error.
    """
    try:
        yield
    except _DAMAGE as error:
        raise SaveError(
            f"The posterior in {path} cannot be read: a file is missing or damaged ({type(error).__name__}: "
            f"{error}). Restore the directory from a copy, or fit again."
        ) from error


_DAMAGE = (
    OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError,
    ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError,
)  # fmt: skip


def _write_contents(contents: Path, stored: Stored) -> None:
    facts = {**stored.facts, "format": _FORMAT, "contents": contents.name}
    (contents / _HEAD).write_text(json.dumps(facts, indent=1, default=_plain) + "\n", encoding="utf-8")
    arrays = {name: _saveable(array) for name, array in stored.arrays.items()}
    np.savez(contents / _ARRAYS, allow_pickle=False, **arrays)
    save_module(stored.q, contents / _FLOW)
    for file in contents.iterdir():
        # a full disk may show only here
        with open(file, "rb+") as written:
            os.fsync(written.fileno())


def _contents_of(path: Path) -> Path | None:
    """Where the posterior in a directory keeps its arrays, if there is one."""
    try:
        return _contents(path, json.loads((path / _HEAD).read_text(encoding="utf-8")))
    except _DAMAGE:
        return None


def _contents(path: Path, facts: Mapping[str, Any]) -> Path:
    # the name comes from a file, and what it names may get removed: it must not lead elsewhere
    if not _CONTENTS.fullmatch(facts["contents"]):
        raise ValueError(f"{facts['contents']!r} is no name of contents")
    return path / facts["contents"]


def _saveable(array: np.ndarray) -> np.ndarray:
    """Labels of mixed or unknown types as strings: objects would need pickle."""
    array = np.asarray(array)
    return array if array.dtype.kind in "biufcSUmM" else array.astype(str)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} cannot be saved as JSON")
