"""Images from the files in which MNIST and Fashion-MNIST are distributed."""

from __future__ import annotations

import gzip
import io
import math
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from flowvi.errors import DataError

_MAGIC = 0x00000803
"""Of idx files of unsigned bytes in three dimensions."""
_NAMES = ("x_train", "images", "arr_0")
"""Of the array in an npz file, in the order in which they are looked for."""


def read_images(path: str | Path, name: str | None = None) -> UInt8[np.ndarray, "images rows columns"]:
    """Images from an idx file, gzipped or not, or an npz file.

    An idx file has four bytes 0, 0, 8 (unsigned bytes), 3 (dimensions), three big-endian sizes and the
    pixels. In an npz file `name` chooses the array; without it "x_train", "images", "arr_0", or the only one.
    There, images may be rows of as many pixels as a square has, and brightness may be whole numbers from 0 to
    255 of any type, or shares of 255 from 0 to 1.

    Raises:
        DataError: the file is missing or damaged, holds something else, or its size is not what it says.

    Source: http://yann.lecun.com/exdb/mnist, "file formats for the MNIST database".

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "two-idx3-ubyte"
        >>> _ = path.write_bytes(struct.pack(">4I", 0x803, 2, 1, 3) + bytes(6))
        >>> read_images(path).shape
        (2, 1, 3)
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    if content[:2] == b"PK":
        return _from_npz(path, content, name)
    if content[:2] == b"\x1f\x8b":
        try:
            content = gzip.decompress(content)
        except (EOFError, OSError, zlib.error) as error:
            raise DataError(f"{path} is a damaged gzip file: {error}.") from error
    return _from_idx(path, content)


def _from_idx(path: Path, content: bytes) -> np.ndarray:
    if len(content) < 16:
        raise DataError(f"{path} has {len(content)} bytes, too few for an idx file of images.")
    magic, *shape = struct.unpack(">4I", content[:16])
    if magic != _MAGIC:
        labels = " It holds labels: give the file of images." if magic == 0x801 else ""
        raise DataError(
            f"{path} begins with 0x{magic:08x}, but an idx file of images with 0x{_MAGIC:08x}.{labels}"
        )
    pixels = np.frombuffer(content, np.uint8, offset=16)
    if pixels.size != np.prod(shape, dtype=object):
        raise DataError(
            f"{path} says that it holds images of shape {tuple(shape)}, but has {pixels.size:,} pixels. It "
            "is cut off or damaged."
        )
    return pixels.reshape(shape)


def _from_npz(path: Path, content: bytes, name: str | None) -> np.ndarray:
    try:
        # pickles could run code
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            names = list(arrays)
            chosen = name or next((n for n in _NAMES if n in names), names[0] if len(names) == 1 else None)
            if chosen not in names:
                raise DataError(f"{path} holds the arrays {', '.join(names)}: give name= as one of them.")
            images = arrays[chosen]
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is no readable npz file: {error}.") from error
    found, pixels = _in_rows_and_columns(images), _as_bytes(images)
    if found is None or pixels is None:
        raise DataError(
            f"{path}[{chosen!r}] has dtype {images.dtype} and shape {images.shape}, which cannot be told to "
            "be images: they are whole numbers from 0 to 255, or shares of 255 (not zeros and ones alone, "
            "which may be either), of shape (images, rows, columns) or (images, rows * rows). Load it by "
            "numpy.load, and bring it to shape and to uint8."
        )
    return pixels.reshape(found)


def _in_rows_and_columns(images: np.ndarray) -> tuple[int, ...] | None:
    """The shape with rows and columns, where it can be told."""
    if images.ndim == 2:
        side = math.isqrt(images.shape[1])
        # a square array may as well be one image
        told = side**2 == images.shape[1] and images.shape[0] != images.shape[1]
        return (len(images), side, side) if told else None
    return images.shape if images.ndim == 3 else None


def _as_bytes(images: np.ndarray) -> np.ndarray | None:
    """Brightness from 0 to 255, where it can be told."""
    if images.dtype == np.uint8:
        return images
    if images.dtype.kind not in "iuf" or not images.size or images.min() < 0 or not images.max() <= 255:
        return None
    if images.max() <= 1:
        images = images * 255.0
        if set(np.unique(images)) <= {0.0, 255.0}:
            return None
    whole = np.round(images)
    # shares in single or half precision
    return whole.astype(np.uint8) if np.abs(images - whole).max() < 0.1 else None
