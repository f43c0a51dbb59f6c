"""The target's density on the host: what runs on several threads, and what must not."""

import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from stages import density_of

from flowvi.inference.density import VALUES

pytestmark = pytest.mark.usefixtures("x64")


def values(log_density, n):
    z = np.random.default_rng(0).normal(size=(n, 3))
    return z, density_of(log_density, 3).value(z)


def test_values_of_many_batches_keep_the_order_of_the_points():
    z, value = values(lambda z: z.sum(), 5 * VALUES + 7)
    np.testing.assert_allclose(value, z.sum(axis=1), rtol=0, atol=1e-14)


def test_a_density_is_traced_on_the_thread_of_its_caller():
    # handlers of probabilistic programs are not safe in two threads
    threads = set()

    def log_density(z):
        threads.add(threading.get_ident())
        return z.sum()

    values(log_density, 5 * VALUES)
    assert threads == {threading.get_ident()}


def test_a_density_outside_jax_is_never_called_twice_at_once():
    inside, met = threading.Lock(), []

    def on_host(z):
        alone = inside.acquire(blocking=False)
        met.append(not alone)
        # long enough for another thread to come
        threading.Event().wait(0.05)
        if alone:
            inside.release()
        return z.sum(axis=-1)

    def log_density(z):
        shape = jax.ShapeDtypeStruct((), z.dtype)
        return jax.pure_callback(on_host, shape, z, vmap_method="broadcast_all") + 0 * jnp.sum(z)

    z, value = values(log_density, 5 * VALUES)
    np.testing.assert_allclose(value, z.sum(axis=1), rtol=0, atol=1e-14)
    assert len(met) == 5
    assert not any(met)


def test_programs_that_factorise_matrices_do_not_run_side_by_side():
    # on as many threads as XLA has they would wait for each other without end
    def log_density(z):
        factor = jnp.linalg.cholesky(jnp.exp(z[0]) * jnp.eye(30) + jnp.ones((30, 30)))
        return jnp.log(jnp.diag(factor)).sum()

    threads = density_of(log_density, 3).map(lambda _: threading.get_ident(), range(4))
    assert threads == [threading.get_ident()] * 4
    z, value = values(log_density, 20 * VALUES)
    scale = np.exp(z[:, 0])
    np.testing.assert_allclose(value, (29 * z[:, 0] + np.log(scale + 30)) / 2, rtol=1e-10)
