"""Flows as files: exact round trips, and typed errors for everything else."""

import json

import equinox as eqx
import jax
import numpy as np
import pytest
from flow_cases import CONDITIONAL, FLOWS, perturbed

from flowvi import bijections, flows
from flowvi.errors import SaveError
from flowvi.serialise import load_module, save_module

ALL = {**FLOWS, **{f"{name}_conditional": build for name, build in CONDITIONAL.items()}}


@pytest.mark.parametrize("build", ALL.values(), ids=ALL)
@pytest.mark.parametrize("x64", [False, True])
def test_round_trip_is_exact(build, x64, tmp_path):
    flow = perturbed(build(2))
    with jax.enable_x64(x64):
        save_module(flow, tmp_path / "q.npz")
        loaded = load_module(tmp_path / "q.npz")
    # equal in structure as well, so that compiled functions are found again
    assert jax.tree.structure(loaded) == jax.tree.structure(flow)
    for a, b in zip(jax.tree.leaves(loaded), jax.tree.leaves(flow), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def test_log_prob_is_bitwise_equal(tmp_path):
    flow = perturbed(FLOWS["whitened"](2))
    save_module(flow, tmp_path / "q.npz")
    x = np.random.default_rng(0).normal(size=(8, 2))
    np.testing.assert_array_equal(load_module(tmp_path / "q.npz").log_prob(x), flow.log_prob(x))


def test_containers_functions_and_numpy_arrays(tmp_path):
    network = bijections.MLP(1, 1, key=jax.random.key(0))
    contents = {
        "a": [1, (2.5, None, True)],
        "b": "text",
        "c": jax.nn.silu,
        "d": np.arange(3),
        "e": float("inf"),
    }
    holder = eqx.tree_at(lambda n: n.weights, network, contents)
    save_module(holder, tmp_path / "q.npz")
    loaded = load_module(tmp_path / "q.npz").weights
    np.testing.assert_array_equal(loaded.pop("d"), contents.pop("d"))
    assert loaded == contents


def test_saving_replaces_the_file_and_leaves_no_other(tmp_path):
    for flow in (flows.gaussian(2), flows.gaussian(3)):
        save_module(flow, tmp_path / "q.npz")
    assert load_module(tmp_path / "q.npz").dim == 3
    assert [path.name for path in tmp_path.iterdir()] == ["q.npz"]


def test_foreign_parts_are_refused_when_saving(tmp_path):
    foreign = eqx.nn.MLP(2, 4, 8, 1, key=jax.random.key(0))
    coupling = bijections.Coupling(2, 1, foreign, bijections.AffineTransformer(2.0))
    with pytest.raises(SaveError, match=r"Flow.bijection.conditioner is a equinox.*MLP"):
        save_module(flows.Flow(flows.Normal(2), coupling), tmp_path / "q.npz")
    assert not list(tmp_path.iterdir())


def test_missing_file_and_missing_directory(tmp_path):
    with pytest.raises(SaveError, match="no file"):
        load_module(tmp_path / "q.npz")
    with pytest.raises(SaveError, match="Cannot read"):
        load_module(tmp_path)
    with pytest.raises(SaveError, match="Cannot write"):
        save_module(flows.Normal(2), tmp_path / "nowhere" / "q.npz")
    (tmp_path / "file").touch()
    with pytest.raises(SaveError, match="Cannot write"):
        save_module(flows.Normal(2), tmp_path / "file" / "q.npz")


def test_damage_is_found(tmp_path):
    path = tmp_path / "q.npz"
    save_module(FLOWS["real_nvp"](2), path)
    intact = path.read_bytes()
    numbers = np.random.default_rng(0)
    damaged = [b"", b"text", intact[:-20], intact[: len(intact) // 2]]
    for position in numbers.integers(len(intact), size=20):
        flipped = bytearray(intact)
        flipped[position] ^= 0xFF
        damaged.append(bytes(flipped))
    for content in damaged:
        path.write_bytes(content)
        try:
            loaded = load_module(path)
        except SaveError:
            continue
        # a few bytes of the container carry no meaning
        assert eqx.tree_equal(loaded, FLOWS["real_nvp"](2))


@pytest.mark.parametrize(
    "structure",
    [
        "not json",
        "[]",
        '{"format": 1}',
        '{"format": 99, "module": null}',
        *(
            json.dumps({"format": 1, "module": module})
            for module in [
                {"kind": "module", "class": "system", "fields": {}},
                {"kind": "module", "class": "Bijection", "fields": {}},
                {"kind": "module", "class": "Normal", "fields": {}},
                {"kind": "module", "class": "Normal", "fields": {"dim": 2, "sample": 1}},
                {"kind": "function", "name": "eval"},
                {"kind": "jax", "array": "array7"},
                {"kind": "pickle"},
            ]
        ),
    ],
)
def test_structures_not_written_by_flowvi_are_refused(structure, tmp_path):
    np.savez(tmp_path / "q.npz", structure=np.asarray(structure))
    with pytest.raises(SaveError, match=r"q\.npz"):
        load_module(tmp_path / "q.npz")


def test_pickled_content_is_not_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("the file ran code",))

    trap = np.empty(1, object)
    trap[0] = Trap()
    np.savez(tmp_path / "q.npz", structure=trap, allow_pickle=True)
    with pytest.raises(SaveError, match="damaged"):
        load_module(tmp_path / "q.npz")
