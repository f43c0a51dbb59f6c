"""Files of images, read and refused; digits; black and white."""

import gzip
import struct

import numpy as np
import pytest

from flowvi import vae
from flowvi.errors import ArgumentError, DataError

pytestmark = pytest.mark.slow


IMAGES = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
IDX = struct.pack(">4I", 0x803, 2, 3, 4) + IMAGES.tobytes()


def file(folder, content):
    path = folder / "images"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["idx", "gzip"])
def test_idx_files(pack, tmp_path):
    np.testing.assert_array_equal(vae.read_images(file(tmp_path, pack(IDX))), IMAGES)


def test_npz_files(tmp_path):
    path = tmp_path / "mnist.npz"
    np.savez(path, x_train=IMAGES, x_test=IMAGES[:1], y_train=np.zeros(2))
    np.testing.assert_array_equal(vae.read_images(path), IMAGES)
    assert vae.read_images(path, "x_test").shape == (1, 3, 4)
    with pytest.raises(DataError, match="x_train, x_test, y_train"):
        vae.read_images(path, "test")
    with pytest.raises(DataError, match="uint8"):
        vae.read_images(path, "y_train")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "0 bytes"),
        (struct.pack(">4I", 0x801, 2, 0, 0), "labels"),
        (b"\x89PNG" + IDX, "0x89504e47"),
        (IDX[:-1], "23 pixels"),
        (IDX + b"0", "25 pixels"),
        (gzip.compress(IDX)[:-9], "gzip"),
        (b"PK\x03\x04 and no more", "npz"),
        (struct.pack(">4I", 0x803, 2**32 - 1, 2**32 - 1, 2**32 - 1), "cut off"),
    ],
    ids=["empty", "labels", "PNG", "short", "long", "cut gzip", "cut npz", "enormous"],
)
def test_other_files_are_refused(content, words, tmp_path):
    with pytest.raises(DataError, match=words):
        vae.read_images(file(tmp_path, content))


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        vae.read_images(tmp_path / "nothing")


def saved(folder, array):
    path = folder / "images.npz"
    np.savez(path, array)
    return path


BRIGHT = np.random.default_rng(0).integers(0, 256, size=(5, 4, 4))


@pytest.mark.parametrize(
    "array",
    [
        BRIGHT,
        BRIGHT.astype(float),
        (BRIGHT / 255).astype(np.float32),
        (BRIGHT / 255).astype(np.float16),
        BRIGHT.reshape(5, 16).astype(np.uint8),
        BRIGHT.reshape(5, 16) / 255,
    ],
    ids=["int64", "whole floats", "shares", "half precision", "rows", "rows of shares"],
)
def test_npz_files_of_other_types_and_shapes(array, tmp_path):
    images = vae.read_images(saved(tmp_path, array))
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images, BRIGHT)


@pytest.mark.parametrize(
    "array",
    [
        BRIGHT + 0.5,
        BRIGHT - 256.0,
        BRIGHT * 2,
        (BRIGHT > 99) * 1.0,
        BRIGHT.reshape(5, 16)[:, :15],
        np.zeros((16, 16), np.uint8),
        BRIGHT * np.nan,
        np.zeros((5, 4, 4), bool),
        np.zeros((0, 4, 4)),
    ],
    ids=["halves", "negative", "bright", "two values", "no square", "one image?", "NaN", "bool", "none"],
)
def test_npz_files_that_cannot_be_told_to_be_images(array, tmp_path):
    with pytest.raises(DataError, match="cannot be told to be images"):
        vae.read_images(saved(tmp_path, array))


def test_objects_in_npz_files_are_never_loaded(tmp_path):
    path = tmp_path / "objects.npz"
    np.savez(path, x_train=np.array([{}], object))
    with pytest.raises(DataError, match="npz"):
        vae.read_images(path)


def test_digits_are_white_as_often_as_they_are_bright():
    digits = vae.digits()
    assert digits.shape == (1797, 64)
    assert digits.min() == 0
    assert digits.max() == 16
    binary = vae.binarise(digits, white=16, seed=1)
    assert set(np.unique(binary)) == {0.0, 1.0}
    share, expected = binary.mean(axis=0), digits.mean(axis=0) / 16
    assert np.abs(share - expected).max() < 5 * 0.5 / np.sqrt(1797)
    np.testing.assert_array_equal(binary, vae.binarise(digits, white=16, seed=1))


def test_brightness_out_of_range_is_refused():
    with pytest.raises(DataError, match="17"):
        vae.binarise(np.array([[17.0]]), white=16)
    with pytest.raises(DataError, match="nan"):
        vae.binarise(np.array([[np.nan]]), white=16)


@pytest.mark.parametrize("white", [0, -1.0, np.nan, "255"])
def test_white_is_a_positive_number(white, as_users_run_it):
    with pytest.raises(ArgumentError, match="white="):
        vae.binarise(np.zeros((1, 2)), white=white)


@pytest.mark.parametrize("images", [3.0, "digits", [[1.0], [2.0, 3.0]]])
def test_what_is_no_array_of_images_is_refused(images, as_users_run_it):
    with pytest.raises(DataError, match="images is"):
        vae.binarise(images, white=16)
