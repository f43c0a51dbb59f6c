"""A directory with a posterior survives crashes, full disks and damage, and never runs code."""

import errno
import json
import os
import pickle
import zipfile

import numpy as np
import pytest

from flowvi import flows
from flowvi.errors import SaveError
from flowvi.storage import Stored, read, write


@pytest.fixture(scope="module")
def q():
    return flows.real_nvp(2, key=0, layers=2, width=4)


@pytest.fixture
def stored(q):
    facts = {
        "khat": float("nan"),
        "worst": float("-inf"),
        "count": np.int64(3),
        "list": np.array([0.1, np.inf]),
    }
    arrays = {
        "z": np.random.default_rng(0).normal(size=(5, 2)),
        "draws/file": np.array([np.pi, np.nan, -np.inf, -0.0, 5e-324]),
        "draws/a/b": np.zeros((5, 0)),
        "coords/school": np.array(["Ä", "b"]),
        "coords/mixed": np.array(["a", 1], dtype=object),
        "coords/day": np.array(["2024-01-01"], dtype="datetime64[D]"),
    }
    return Stored(facts, arrays, q)


def _files(path):
    return {file.relative_to(path): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def _contents(path):
    (found,) = (entry for entry in path.iterdir() if entry.is_dir())
    return found


def test_round_trip_is_bitwise(tmp_path, stored):
    write(tmp_path / "new" / "run", stored)
    back = read(tmp_path / "new" / "run")
    assert np.isnan(back.facts["khat"])
    assert (back.facts["worst"], back.facts["count"], back.facts["list"]) == (-np.inf, 3, [0.1, np.inf])
    assert back.arrays.keys() == stored.arrays.keys()
    for name, array in stored.arrays.items():
        if array.dtype != object:
            assert back.arrays[name].tobytes() == array.tobytes()
            assert back.arrays[name].dtype == array.dtype
    assert back.arrays["coords/mixed"].tolist() == ["a", "1"]
    points = np.linspace(-3, 3, 10).reshape(5, 2)
    assert back.q.log_prob(points).tobytes() == stored.q.log_prob(points).tobytes()


def test_overwriting_replaces_the_posterior_and_keeps_other_files(tmp_path, stored):
    (tmp_path / "notes.txt").write_text("mine")
    for count in (1, 2):
        write(tmp_path, stored._replace(facts={"count": count}))
        assert read(tmp_path).facts["count"] == count
    assert sorted(entry.name for entry in tmp_path.iterdir()) == sorted(
        ["notes.txt", "posterior.json", _contents(tmp_path).name]
    )


@pytest.mark.parametrize("step", ["numpy.savez", "os.fsync", "os.replace", "flowvi.storage.save_module"])
@pytest.mark.parametrize(
    ("failure", "expected"),
    [(OSError(errno.ENOSPC, "No space left on device"), SaveError), (KeyboardInterrupt(), KeyboardInterrupt)],
)
def test_a_failure_leaves_the_older_posterior(tmp_path, stored, monkeypatch, step, failure, expected):
    write(tmp_path, stored)
    before = _files(tmp_path)

    def fail(*args, **kwargs):
        raise failure

    monkeypatch.setattr(step, fail)
    with pytest.raises(expected):
        write(tmp_path, stored)
    assert _files(tmp_path) == before


def test_an_interrupt_right_after_the_last_step_leaves_the_newer_posterior(tmp_path, stored, monkeypatch):
    write(tmp_path, stored)
    replace = os.replace

    def replace_then_interrupt(source, target):
        replace(source, target)
        if os.fspath(target).endswith("posterior.json"):
            raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", replace_then_interrupt)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, stored._replace(facts={"count": 2}))
    assert read(tmp_path).facts["count"] == 2


def test_directories_that_cannot_be_written(tmp_path, stored):
    occupied = tmp_path / "file"
    occupied.write_text("")
    with pytest.raises(SaveError, match=r"file: it is a file. Give the name of a directory"):
        write(occupied, stored)
    with pytest.raises(SaveError, match=r"file/run: Not a directory.*choose a directory"):
        write(occupied / "run", stored)
    with pytest.raises(SaveError, match=r"There is no posterior in .*file/run"):
        read(occupied / "run")


@pytest.mark.skipif(getattr(os, "geteuid", lambda: 0)() == 0, reason="the superuser may write anywhere")
def test_a_directory_without_permission(tmp_path, stored):
    tmp_path.chmod(0o500)
    with pytest.raises(SaveError, match="Permission denied"):
        write(tmp_path / "run", stored)


def test_no_posterior_there(tmp_path):
    with pytest.raises(SaveError, match=r"There is no posterior in .*missing \(no posterior.json\)"):
        read(tmp_path / "missing")


def _truncate(path):
    file = _contents(path) / "arrays.npz"
    file.write_bytes(file.read_bytes()[:-200])


def _flip(path):
    file = _contents(path) / "arrays.npz"
    data = bytearray(file.read_bytes())
    # past the zip and npy headers of the first array
    data[200] ^= 0xFF
    file.write_bytes(data)


def _edit(**changes):
    def edit(path):
        facts = json.loads((path / "posterior.json").read_text())
        (path / "posterior.json").write_text(json.dumps({**facts, **changes}))

    return edit


@pytest.mark.parametrize(
    "damage",
    [
        _truncate,
        _flip,
        lambda path: (_contents(path) / "arrays.npz").unlink(),
        lambda path: (_contents(path) / "flow.npz").unlink(),
        lambda path: (path / "posterior.json").write_text('{"format": 1, '),
        lambda path: (path / "posterior.json").write_bytes(b"\xff\xfe"),
        lambda path: (path / "posterior.json").write_text("[]"),
        lambda path: (path / "posterior.json").write_text('{"format": 1}'),
        _edit(contents="../.."),
        _edit(contents=3),
    ],
)
def test_damage_is_named(tmp_path, stored, damage):
    write(tmp_path, stored)
    damage(tmp_path)
    with pytest.raises(SaveError, match=tmp_path.name):
        read(tmp_path)
    write(tmp_path, stored)
    assert read(tmp_path).facts["count"] == 3


def test_another_format_says_which(tmp_path, stored):
    write(tmp_path, stored)
    _edit(format=2)(tmp_path)
    with pytest.raises(SaveError, match="has format 2, and this version of flowvi reads 1"):
        read(tmp_path)


class _Bomb:
    def __reduce__(self):
        return os.mkdir, ("exploded",)


def test_pickles_are_never_loaded(tmp_path, stored, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "run", stored)
    with (
        zipfile.ZipFile(_contents(tmp_path / "run") / "arrays.npz", "w") as archive,
        archive.open("z.npy", "w") as entry,
    ):
        np.lib.format.write_array(entry, np.array([_Bomb()], dtype=object), allow_pickle=True)
    with pytest.raises(SaveError):
        read(tmp_path / "run")
    (_contents(tmp_path / "run") / "arrays.npz").write_bytes(pickle.dumps(_Bomb()))
    with pytest.raises(SaveError):
        read(tmp_path / "run")
    assert not (tmp_path / "exploded").exists()


def test_contents_named_by_a_damaged_file_are_not_removed(tmp_path, stored):
    (tmp_path / "precious").mkdir()
    write(tmp_path / "run", stored)
    _edit(contents="../precious")(tmp_path / "run")
    write(tmp_path / "run", stored)
    assert (tmp_path / "precious").is_dir()
