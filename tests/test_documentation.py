"""What the README and the docstrings show, run."""

import doctest
import importlib
import pkgutil
import re
import runpy
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import flowvi

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
# the command line's example needs a file, the display's shows on a terminal
MODULES = [
    module.name
    for module in pkgutil.walk_packages(flowvi.__path__, "flowvi.")
    if module.name not in ("flowvi.cli", "flowvi.targets.stan.bridge")
]
# pages that train much, and modules whose examples do
SLOW = {
    *("amortize.md", "density.md", "families.md", "geometry.md", "research.md", "vae.md"),
    *("flowvi.families.vae", "flowvi.families.gan", "flowvi.amortized.amortize", "flowvi.plots.geometry"),
    *("flowvi.vae.train", "flowvi.amortized.image", "flowvi.amortized.set_transformer"),
    *("flowvi.flows.stochastic_log_det", "flowvi.flows.residual", "flowvi.bijections.residual"),
}
NAMES = {"flowvi": flowvi, "np": np, "jax": jax, "jnp": jnp, "eqx": eqx, "Target": flowvi.Target}


def marked(name):
    return pytest.mark.slow if name in SLOW else ()


@pytest.mark.parametrize("page", [pytest.param(p, id=p.name, marks=marked(p.name)) for p in PAGES])
def test_snippets_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for code in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL):
        exec(compile(code, page.name, "exec"), names)


@pytest.fixture(scope="module")
def eight_schools():
    """The names that examples of `Posterior` start from."""
    names = runpy.run_path(str(ROOT / "examples" / "eight_schools.py"))
    model, data = names["model"], names["data"]
    return {"model": model, **data, "posterior": flowvi.fit(model, **data, progress=False)}


@pytest.mark.parametrize("name", [pytest.param(name, marks=marked(name)) for name in MODULES])
def test_examples_of_docstrings_hold(name, as_users_run_it, request, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = dict(NAMES)
    if name == "flowvi.posterior":
        names |= request.getfixturevalue("eight_schools")
    module = importlib.import_module(name)
    finder = doctest.DocTestFinder()
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    for example in finder.find(module, name, extraglobs=names):
        runner.run(example)
    assert runner.failures == 0
