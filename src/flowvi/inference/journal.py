"""A fit's expensive results on disk: after a crash they are read instead of computed."""

from __future__ import annotations

import hashlib
import os
import re
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from flowvi.inference.failure import named_failures
from flowvi.targets.base import Target

R = TypeVar("R")

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")

_DAMAGE = (
    OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, KeyError, MemoryError,
)  # fmt: skip


class Journal:
    """Results of pure functions by a checksum of their arguments, one file each.

    All that is random in a fit is drawn before such a function is called, so a fit that finds its results
    here takes the same way as the one that wrote them, to the same answer bit for bit. An entry that is
    damaged, or of other arguments, is computed again. The target is no part of the checksum: a journal
    belongs to one, which `flowvi.inference.checkpoint` sees to.

    Attributes:
        failure: why results are no longer written, in a sentence; empty while they are.

    Example:
        >>> import tempfile
        >>> journal = Journal(tempfile.mkdtemp())
        >>> journal.call(np.square, np.arange(3.0), like=0)
        array([0., 1., 4.])
        >>> len(os.listdir(journal.directory))
        1
    """

    def __init__(self, directory: str | os.PathLike | None = None) -> None:
        """Keep results in a directory that exists, or nowhere."""
        self.directory = None if directory is None else Path(directory)
        self.failure = ""

    def call(self, function: Callable[..., R], *args: Any, like: Any) -> R:
        """The function's result, read where it is known, else computed and written.

        Args:
            function: pure, of arrays, to a tree of arrays; known by its name.
            like: a tree of anything with the structure of the result.

        Raises:
            EvaluationError: a density written in Python raised an exception.
        """
        if self.directory is None:
            with named_failures():
                return jax.block_until_ready(function(*args))
        path = self.directory / f"{checksum(function.__name__, args)}.npz"
        known = _read(path, jax.tree.structure(like))
        if known is not None:
            return known
        with named_failures():
            result = jax.tree.map(np.asarray, function(*args))
        if not self.failure:
            self._write(path, jax.tree.leaves(result))
        return result

    def _write(self, path: Path, arrays: list[np.ndarray]) -> None:
        unfinished = path.with_suffix(".unfinished")
        try:
            with open(unfinished, "wb") as file:
                np.savez(file, *arrays, allow_pickle=False)
            os.replace(unfinished, path)
        except OSError as error:
            unfinished.unlink(missing_ok=True)
            self.failure = (
                f"The checkpoint could not be written any more ({error.strerror or error}): a second call "
                f"computes again what came after."
            )


def checksum(*trees: Any) -> str:
    """Of trees of arrays and numbers, the targets in them left out."""
    trees = jax.tree.map(
        lambda node: None if isinstance(node, Target) else node,
        trees,
        is_leaf=lambda node: isinstance(node, Target),
    )
    leaves, structure = jax.tree.flatten(trees)
    digest = hashlib.blake2b(_ADDRESS.sub("", str(structure)).encode(), digest_size=16)
    for leaf in leaves:
        if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            leaf = jax.random.key_data(leaf)
        if isinstance(leaf, jax.Array | np.ndarray | np.generic):
            array = np.ascontiguousarray(leaf)
            digest.update(f"{array.dtype.str}{np.shape(leaf)}".encode())
            digest.update(array.data if array.size else b"")
        else:
            digest.update(_ADDRESS.sub("", repr(leaf)).encode())
    return digest.hexdigest()


def _read(path: Path, structure: Any) -> Any:
    """The tree in a file, or None where there is none, or not as it was written."""
    try:
        # opened here, since np.load does not close a file that is no archive
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = [archive[f"arr_{number}"] for number in range(len(archive.files))]
    except _DAMAGE:
        return None
    return jax.tree.unflatten(structure, arrays) if len(arrays) == structure.num_leaves else None
