"""The score of a flow at its own draws, carried forward layer by layer: no inverse is taken."""

from typing import TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float

from flowvi.bijections import Bijection, Chain, Coupling, MaskedAutoregressive, Permutation, Scan
from flowvi.flows.flow import Flow
from flowvi.flows.unwrapped import Wrapper, unwrapped

_B = TypeVar("_B", bound=Bijection)

_Pushed = tuple[Float[Array, " dim"], Float[Array, ""], Float[Array, " dim"]]


def forward_with_score(
    flow: Flow, base_draw: Float[Array, " dim"], condition: Float[Array, " condition"] | None = None
) -> tuple[Float[Array, " dim"], Float[Array, ""], Float[Array, " dim"]]:
    """z = f(x), log q(z) and the score grad log q(z) at one draw x of the base, in the caller's precision.

        z_k = f_k(z_(k-1)):    score_k = J_k^-T (score_(k-1) - grad log |det J_k|)

    z and log q are differentiable in the flow's parameters; the score counts as a constant, which is what the
    path gradient asks for. A coupling costs one derivative of its conditioner more than
    `forward_and_log_prob`, an autoregressive layer dim of them, in one batch; any other layer one derivative
    of its inverse.

    Shapes: base_draw, z, score (dim,); condition (condition_dim,).

    Source: Vaitl et al. 2022 (arXiv 2206.09016), proposition 3.1 and section 3.2.

    Example:
        >>> import flowvi
        >>> import jax
        >>> import jax.numpy as jnp
        >>> from flowvi.flows.score import forward_with_score
        >>> with jax.enable_x64(True):
        ...     _, _, score = forward_with_score(flowvi.flows.real_nvp(2, key=0), jnp.array([1.0, 2.0]))
        >>> score.tolist()
        [-1.0, -2.0]
    """
    log_q0, score = jax.value_and_grad(flow.base.log_prob)(jax.lax.stop_gradient(base_draw))
    z, log_det, score = _push(flow.bijection, base_draw, jax.lax.stop_gradient(score), condition)
    return z, log_q0 - log_det, score


def _push(bijection: Bijection, x: Array, score: Array, condition: Array | None) -> _Pushed:
    """f(x), log |det J| and the score on the other side."""
    if isinstance(bijection, Chain):
        total = jnp.zeros((), x.dtype)
        for part in bijection.bijections:
            x, log_det, score = _push(part, x, score, condition)
            total = total + log_det
        return x, total, score
    if isinstance(bijection, Scan):
        return _push_scan(bijection, x, score, condition)
    if isinstance(bijection, Wrapper):
        inner, condition = unwrapped(bijection, x, condition)
        return _push(inner, x, score, condition)
    y, log_det = bijection.forward_and_log_det(x, condition)
    if isinstance(bijection, Permutation):
        return y, log_det, bijection.forward_and_log_det(score)[0]
    x, at = jax.lax.stop_gradient((x, y))
    if isinstance(bijection, Coupling):
        return y, log_det, _through_coupling(_constant(bijection), x, score, condition)
    if isinstance(bijection, MaskedAutoregressive):
        return y, log_det, _through_autoregressive(_constant(bijection), x, score, condition)
    fixed = _constant(bijection)
    (back, log_det_back), pull = jax.vjp(lambda y: fixed.inverse_and_log_det(y, condition), at)
    return y, log_det, pull((score.astype(back.dtype), jnp.ones_like(log_det_back)))[0]


def _push_scan(scan: Scan, x: Array, score: Array, condition: Array | None) -> _Pushed:
    def step(carry, layer):
        x, total, score = carry
        x, log_det, score = _push(eqx.combine(layer, scan.layers), x, score, condition)
        return (x, total + log_det, score), None

    start = (x, jnp.zeros((), x.dtype), score)
    return jax.lax.scan(step, start, eqx.filter(scan.layers, eqx.is_array))[0]


def _constant(bijection: _B) -> _B:
    return jax.tree.map(lambda leaf: jax.lax.stop_gradient(leaf) if eqx.is_array(leaf) else leaf, bijection)


def _through_coupling(layer: Coupling, x: Array, score: Array, condition: Array | None) -> Array:
    """J is diagonal among the moved coordinates and the identity among the others, so J^-T needs no solve."""
    moved, held = x[: layer.moved], x[layer.moved :]
    score_moved, score_held = score[: layer.moved], score[layer.moved :]

    def of_parameters(moved, held):
        return layer.transformer.forward_and_log_det(moved, layer.parameters(held, condition))

    (_, log_slope), pull = jax.vjp(of_parameters, moved, held)
    zero, one = jnp.zeros_like(moved), jnp.ones_like(moved)
    # the derivatives of log dy/dx in the moved coordinates themselves
    bend = pull((zero, one))[0]
    score_moved = (score_moved - bend) * jnp.exp(-log_slope)
    through_held = pull((score_moved, one))[1]
    return jnp.concatenate([score_moved, score_held - through_held])


def _through_autoregressive(
    layer: MaskedAutoregressive, x: Array, score: Array, condition: Array | None
) -> Array:
    """J is lower triangular: its rows come from one derivative each."""
    _, pull = jax.vjp(lambda x: layer.forward_and_log_det(x, condition), x)
    rows = jax.vmap(lambda e: pull((e, jnp.zeros((), x.dtype)))[0])(jnp.eye(x.size, dtype=x.dtype))
    bend = pull((jnp.zeros_like(x), jnp.ones((), x.dtype)))[0]
    return solve_triangular(rows, score - bend, trans=1, lower=True)
