"""Where compiled programs are kept between processes: `FLOWVI_CACHE_DIR`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jax
from jax.experimental.compilation_cache import compilation_cache


def cache_directory() -> Path | None:
    """`$FLOWVI_CACHE_DIR`, or `flowvi` in the user's caches; None where empty or not writable."""
    root = os.environ.get("FLOWVI_CACHE_DIR")
    if root == "":
        return None
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    directory = Path(root) if root else caches / "flowvi"
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return directory if os.access(directory, os.W_OK) else None


@contextmanager
def kept_programs() -> Iterator[None]:
    """Keep what JAX compiles within, so that a second process compiles next to nothing.

    A user's own compilation cache is left in force, and JAX's settings are as before afterwards.
    """
    directory = cache_directory()
    if directory is None or getattr(jax.config, "jax_compilation_cache_dir"):  # noqa: B009
        yield
        return
    wanted = {
        "jax_compilation_cache_dir": str(directory / "xla"),
        # programs that take a tenth of a second each add up
        "jax_persistent_cache_min_compile_time_secs": 0.0,
    }
    before = {name: getattr(jax.config, name) for name in wanted}
    for name, value in wanted.items():
        jax.config.update(name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            jax.config.update(name, value)
        compilation_cache.reset_cache()
