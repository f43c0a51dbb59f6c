"""A fit in a process of its own with cold caches, so that seconds are those a user waits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

Record = dict[str, Any]
HERE = Path(__file__).resolve().parent


def run(script: str, *arguments: str, timeout: float) -> Record:
    """The JSON that `python SCRIPT ARGUMENTS START OUT` writes to OUT, or what went wrong.

    START is the time at which the process was asked for: the script records seconds since then.
    """
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "record.json"
        environment = os.environ | {"FLOWVI_CACHE_DIR": "", "JAX_ENABLE_COMPILATION_CACHE": "false"}
        environment.pop("JAX_COMPILATION_CACHE_DIR", None)
        start = time.time()
        command = [sys.executable, str(HERE / script), *arguments, repr(start), str(out)]
        try:
            answer = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=timeout)
        except subprocess.TimeoutExpired:
            return {"seconds": timeout, "error": f"over {timeout:.0f} s"}
        if answer.returncode != 0 or not out.exists():
            last = (answer.stderr.strip() or "no message").splitlines()[-1]
            return {"seconds": time.time() - start, "error": last}
        return json.loads(out.read_text())


def kept(path: Path | None) -> list[Record]:
    """The records of a run that stopped, to go on from."""
    return json.loads(path.read_text()) if path is not None and path.exists() else []
