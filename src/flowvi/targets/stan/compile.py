"""From Stan code to a shared library, with stanc and Stan's headers from the httpstan wheel."""

from __future__ import annotations

import atexit
import functools
import hashlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax

from flowvi.cache import cache_directory
from flowvi.errors import DependencyError, ModelError

_SOURCES = Path(__file__).parent
_FLAGS = (
    "-std=c++17",
    "-O2",
    "-fPIC",
    "-fvisibility=hidden",
    "-pthread",
    "-w",
    "-DNDEBUG",
    "-DSTAN_THREADS",
    "-D_REENTRANT",
    "-DBOOST_DISABLE_ASSERTS",
    "-DBOOST_PHOENIX_NO_VARIADIC_EXPRESSION",
)
# g++ collects its garbage dozens of times on the way through Stan's headers: a tenth of the time
_GCC_FLAGS = ("--param", "ggc-min-expand=1000", "--param", "ggc-min-heapsize=4000000")
_LIBRARIES = ("sundials_cvodes", "sundials_idas", "sundials_kinsol", "sundials_nvecserial", "tbb")


def compile_program(name: str, code: str, folder: Path | None) -> Path:
    """The shared library of a Stan program, from the cache when the same program was compiled before.

    The key covers the C++ of the program (so every file it includes), flowvi's C++, the compiler and its
    flags, and the versions of httpstan and jaxlib. Two processes may compile the same program at once; either
    result serves.

    Raises:
        DependencyError: httpstan or a C++ compiler is missing.
        ModelError: the program is wrong, with stanc's message; or its C++ does not compile.
    """
    cpp = translate(name, code, folder)
    stan = httpstan_folder()
    compiler, version = _compiler()
    flags = [*_FLAGS, *(_GCC_FLAGS if "clang" not in version else ())]
    sources = [path.read_text(encoding="utf-8") for path in sorted(_SOURCES.glob("*.[ch]pp"))]
    same_for_all = [
        version,
        importlib.metadata.version("httpstan"),
        importlib.metadata.version("jaxlib"),
        *flags,
        *sources,
    ]
    cache = _cache_folder()
    runtime = cache / f"runtime-{_digest(*same_for_all)}.o"
    library = cache / f"{_digest(cpp, *same_for_all)}.so"
    if library.exists():
        return library

    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        work = Path(scratch)
        (work / "program.hpp").write_text(cpp, encoding="utf-8")
        headers = ["-I", str(_SOURCES), "-isystem", str(stan / "include"), "-isystem", jax.ffi.include_dir()]
        command = [compiler, *flags, *headers, "-I", scratch, "-c"]
        units = ["model"] if runtime.exists() else ["model", "runtime"]
        commands = [
            [*command, str(_SOURCES / f"{unit}.cpp"), "-o", str(work / f"{unit}.o")] for unit in units
        ]
        with ThreadPoolExecutor() as pool:
            for done in pool.map(_run, commands):
                _check(done, name)
        if "runtime" in units:
            os.replace(work / "runtime.o", runtime)
        objects = [str(work / "model.o"), str(runtime), f"-L{stan / 'lib'}", f"-Wl,-rpath,{stan / 'lib'}"]
        link = [compiler, "-shared", "-pthread", "-o", str(work / "library.so"), *objects]
        _check(_run([*link, *(f"-l{needed}" for needed in _LIBRARIES)]), name)
        os.replace(work / "library.so", library)
    return library


def translate(name: str, code: str, folder: Path | None) -> str:
    """The C++ of a Stan program, by stanc.

    Raises:
        DependencyError: httpstan is missing.
        ModelError: the program is wrong, with stanc's message (line and column).
    """
    stanc = httpstan_folder() / "stanc"
    # classes of different programs in one process must differ in name
    model = f"flowvi_{_digest(code)[:16]}"
    includes = [f"--include-paths={folder}"] if folder else []
    with tempfile.TemporaryDirectory() as scratch:
        (Path(scratch) / "program.stan").write_text(code, encoding="utf-8")
        options = ["--name", model, f"--filename-in-msg={name}", *includes, "--print-cpp"]
        done = _run([str(stanc), *options, "program.stan"], cwd=scratch)
    if done.returncode:
        raise ModelError(f"The Stan program {name} does not translate:\n{done.stderr.strip()}")
    # stanc's record of its own command line says where the program lay, not what it is
    return re.sub(r'"stancflags = [^"]*"', '"stancflags ="', done.stdout)


def httpstan_folder() -> Path:
    """Where the httpstan wheel lies; its files are used, its server is never imported.

    Raises:
        DependencyError: it is not installed.
    """
    spec = importlib.util.find_spec("httpstan")
    if spec is None or spec.origin is None:
        raise DependencyError("Stan programs need Stan's headers from httpstan: pip install 'flowvi[stan]'.")
    return Path(spec.origin).parent


@functools.cache
def _version(compiler: str) -> str:
    done = _run([compiler, "--version"])
    return done.stdout if done.returncode == 0 else ""


def _compiler() -> tuple[str, str]:
    """The C++ compiler, `$CXX` first, and what it says of its version."""
    for name in (os.environ.get("CXX", ""), "g++", "clang++", "c++"):
        path = shutil.which(name) if name else None
        if path and _version(path):
            return path, _version(path)
    how = "xcode-select --install" if sys.platform == "darwin" else "apt install g++, dnf install gcc-c++"
    raise DependencyError(
        f"Stan programs need a C++ compiler: install g++ or clang++ ({how}), or set CXX to one."
    )


@functools.cache
def _temporary_cache() -> Path:
    folder = tempfile.TemporaryDirectory(prefix="flowvi-stan-")
    atexit.register(folder.cleanup)
    return Path(folder.name)


def _cache_folder() -> Path:
    """`$FLOWVI_CACHE_DIR/stan`; a folder for this process only where there is no cache."""
    root = cache_directory()
    if root is None:
        return _temporary_cache()
    folder = root / "stan"
    folder.mkdir(exist_ok=True)
    return folder


def _digest(*parts: str) -> str:
    content = hashlib.blake2b(digest_size=16)
    for part in parts:
        encoded = part.encode()
        content.update(len(encoded).to_bytes(8, "little") + encoded)
    return content.hexdigest()


def _run(command: list[str], cwd: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def _check(done: subprocess.CompletedProcess[str], name: str) -> None:
    if done.returncode:
        last = "\n".join(done.stderr.strip().splitlines()[-8:])
        raise ModelError(
            f"The C++ of the Stan program {name} does not compile. The compiler's last lines:\n{last}"
        )
