"""The command line: `flowvi fit MODEL` fits a model in a file, prints what was found and saves it."""

from __future__ import annotations

import argparse
import importlib.util
import inspect
import json
import os
import sys
import tempfile
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowvi.errors import DataError, FlowviError, ModelError, SaveError

if TYPE_CHECKING:
    from flowvi.posterior import Posterior

_MODEL_HELP = """\
MODEL is a Stan program (*.stan), or a Python file (*.py) that defines
  model        a NumPyro model function, a pymc.Model, a flowvi.StanModel or a flowvi.Target,
or
  log_density  a JAX function of a pytree of parameters, with
  example      a pytree of arrays of the parameters' shapes, and
  supports     (optional) a dict from parameter name to support;
and, for a function that takes data,
  data         a dict of its keyword arguments.

Exit status: 0 when there is a posterior, whatever its verdict; 2 when something is wrong with
the call, the model or the data; 130 when interrupted before there was anything to show."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status; `argv` defaults to the process's own arguments.

    Example:
        >>> main(["fit", "examples/eight_schools.py", "--seed", "1"])
    """
    options = _parser().parse_args(argv)
    try:
        _fit(options)
    except FlowviError as error:
        print(f"flowvi: {type(error).__name__}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("flowvi: interrupted before the fit had a posterior", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("flowvi", description="Variational inference with normalizing flows.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    fit = commands.add_parser(
        "fit",
        help="fit the model in a file",
        description="Fit the model in a file: print its posterior, log evidence and verdict.",
        epilog=_MODEL_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    option = fit.add_argument
    option("model", type=Path, metavar="MODEL", help="MODEL.py or MODEL.stan")
    option("--data", type=Path, metavar="DATA.json", help="data by name, in place of the file's own")
    option("--out", type=Path, metavar="DIR", help="directory to save the posterior to")
    option("--flow", default="auto", metavar="NAME", help="auto, gaussian, or the name of a flow (auto)")
    option("--seed", type=_seed, default=0, metavar="N", help="random seed (0)")
    option("--draws", type=_count, default=4000, metavar="N", help="number of posterior draws (4000)")
    option("--checkpoint", type=Path, metavar="DIR", help="directory to resume from after a crash")
    option("--quiet", action="store_true", help="show no progress")
    return parser


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not a positive number")
    return number


def _seed(text: str) -> int:
    number = int(text)
    # what a key of JAX takes
    if not 0 <= number < 2**63:
        raise argparse.ArgumentTypeError(f"{number} is not a number from 0 to 2**63 - 1")
    return number


def _fit(options: argparse.Namespace) -> None:
    # What can be wrong with the files is found before JAX is imported, and long before there is work to lose.
    if not options.model.is_file():
        raise DataError(f"There is no model file {options.model}.")
    data = None if options.data is None else _read_data(options.data)
    if options.out is not None:
        _require_writable(options.out)
    model = _read_model(options.model, data)

    import flowvi

    posterior = flowvi.fit(
        model,
        seed=options.seed,
        flow=options.flow,
        draws=options.draws,
        progress=not options.quiet,
        checkpoint=options.checkpoint,
    )
    _print(posterior)
    if options.out is not None:
        _save(posterior, options.out)


def _save(posterior: Posterior, directory: Path) -> None:
    """Save to the directory, or, where that fails after all, to a temporary one, so that nothing is lost.

    Raises:
        SaveError: the directory cannot be written to any more.
    """
    try:
        posterior.save(directory)
    except SaveError:
        # where that fails as well, the first error says more
        with suppress(SaveError, OSError):
            rescue = Path(tempfile.mkdtemp(prefix="flowvi-"))
            posterior.save(rescue)
            print(f"saved: {rescue}")
        raise
    print(f"saved: {directory}")


def _print(posterior: Posterior) -> None:
    # the table ends with the line "verdict: LEVEL"
    print(posterior.summary())
    for reason in posterior.verdict.reasons:
        print(f"  - {reason}")
    evidence = posterior.log_evidence
    if evidence is None:
        print("log evidence: none, see the verdict")
    else:
        print(f"log evidence: {evidence.value:.4f} (standard error {evidence.standard_error:.4f})")


def _read_data(path: Path) -> dict[str, Any]:
    """The data of a JSON file by name, lists as they come."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"There is no data file {path}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"The data file {path} cannot be read: {error}.") from error
    except json.JSONDecodeError as error:
        raise DataError(f"The data file {path} is not JSON: {error}.") from error
    if not isinstance(data, dict):
        raise DataError(f"The data file {path} holds a {type(data).__name__}, not values by name.")
    for name, value in data.items():
        if _has_null(value):
            # to a NumPyro model, None would say that the data are not observed
            raise DataError(f"The data `{name}` in {path} are null, or have nulls in them: give numbers.")
    return data


def _has_null(value: Any) -> bool:
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return value is None or any(map(_has_null, parts))


def _require_writable(directory: Path) -> None:
    """Raise now what saving would raise after the fit."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        reason = error.strerror or error
        raise SaveError(f"Cannot write to {directory}: {reason}. Choose another --out.") from error


def _read_model(path: Path, data: dict[str, Any] | None) -> Any:
    """The model in a file; a function becomes a target, so that no argument of it clashes with `fit`."""
    if path.suffix == ".stan":
        from flowvi import StanModel

        return StanModel(path, data)
    if path.suffix != ".py":
        raise ModelError(f"{path} is neither a Python file (.py) nor a Stan program (.stan).")
    names = _run(path)
    if "model" in names:
        model = names["model"]
        if callable(model):
            from flowvi import Target

            arguments = _arguments(path, names, data, "model")
            with _errors_of(path):
                return Target.from_numpyro(model, **arguments)
        if data is not None:
            raise DataError(f"The {type(model).__name__} in {path} holds its data already: leave out --data.")
        return model
    if "log_density" not in names:
        raise ModelError(f"{path} defines neither `model` nor `log_density`; see `flowvi fit --help`.")
    if "example" not in names:
        raise ModelError(f"{path} defines `log_density` but not `example`, the shapes of its parameters.")
    from flowvi.targets.jax import JaxTarget

    arguments = _arguments(path, names, data, "log_density", names["example"])
    with _errors_of(path):
        return JaxTarget.build(names["log_density"], names["example"], names.get("supports"), (), arguments)


def _run(path: Path) -> dict[str, Any]:
    """The names that a Python file defines, run as a module: `if __name__ == "__main__"` is left out."""
    spec = importlib.util.spec_from_file_location("_flowvi_model", path)
    if spec is None or spec.loader is None:
        raise ModelError(f"{path} cannot be run as Python.")
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up by name; neighbours are imported as if the file were run as a script.
    sys.modules[spec.name] = module
    sys.path.insert(0, os.fspath(path.resolve().parent))
    with _errors_of(path):
        spec.loader.exec_module(module)
    return vars(module)


@contextmanager
def _errors_of(path: Path) -> Iterator[None]:
    """Turn whatever the user's own file raises inside into one line that says where.

    Raises:
        ModelError: the code inside raised an error that is not flowvi's.
    """
    try:
        yield
    except FlowviError:
        raise
    except Exception as error:
        said = str(error).strip().split("\n")[0]
        raise ModelError(f"{_place(path, error)}: {type(error).__name__}: {said}") from error


def _place(path: Path, error: Exception) -> str:
    """`file:line` of the last line of the user's own file that an error passed through."""
    # Python makes the path of a module absolute
    file = os.path.abspath(path)
    if isinstance(error, SyntaxError) and error.filename == file:
        return f"{path}:{error.lineno}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return f"{path}:{lines[-1]}" if lines else os.fspath(path)


def _arguments(
    path: Path, names: Mapping[str, Any], given: Mapping[str, Any] | None, function: str, *first: Any
) -> dict[str, Any]:
    """A function's keyword arguments after the first: those of the command line, or else the file's own."""
    data = names.get("data", {}) if given is None else {name: _array(name, x) for name, x in given.items()}
    if not isinstance(data, Mapping):
        raise DataError(f"`data` in {path} is a {type(data).__name__}, not a dict of the model's arguments.")
    try:
        inspect.signature(names[function]).bind(*first, **data)
    except TypeError as error:
        raise DataError(f"The data do not fit `{function}` in {path}: {error}.") from None
    return dict(data)


def _array(name: str, value: Any) -> Any:
    """A JSON list as an array; numbers and strings stay what they are."""
    import numpy as np

    if not isinstance(value, list):
        return value
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise DataError(f"The data `{name}` are lists of unequal lengths.") from error
    if array.dtype.kind not in "biuf":
        raise DataError(f"The data `{name}` are not numbers.")
    return array
