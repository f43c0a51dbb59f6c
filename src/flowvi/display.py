"""What a fit shows while it runs: a live table on a terminal, plain lines elsewhere, or nothing."""

from __future__ import annotations

import contextlib
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import TYPE_CHECKING, TextIO, final

if TYPE_CHECKING:
    from rich.table import Table

_SECONDS_BETWEEN_LINES = 5.0


@dataclass(frozen=True)
class _State:
    """The numbers of one update, and how each of them reads."""

    stage: str
    elbo: float | None
    sd_log_weights: float | None
    khat: float | None
    gradients: int
    elapsed: float
    seconds_left: float | None

    def cells(self) -> dict[str, str]:
        """Column -> text; empty where a number is not known yet."""
        return {
            "stage": self.stage,
            "ELBO": "" if self.elbo is None else f"{self.elbo:,.3f}",
            "sd(log w)": "" if self.sd_log_weights is None else f"{self.sd_log_weights:.3g}",
            "k-hat": "" if self.khat is None else f"{self.khat:.2f}",
            "gradients": f"{self.gradients:,}",
            "elapsed": f"{self.elapsed:.1f} s",
            "left": "" if self.seconds_left is None else f"{max(self.seconds_left, 0.0):.0f} s",
        }

    def line(self) -> str:
        """The same on one line, without the numbers that are not known."""
        known = {name: value for name, value in self.cells().items() if value}
        return "  ".join(value if name == "stage" else f"{name} {value}" for name, value in known.items())


class Display(ABC):
    """Where a fit reports its progress: a context manager that is told the newest numbers.

    Example:
        >>> with display(progress=False) as shown:
        ...     shown.update("gaussian", elbo=-31.4, gradients=8_000)
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._start = clock()

    def __enter__(self) -> Display:
        self._start = self._clock()
        self._open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._close()

    def update(
        self,
        stage: str,
        *,
        elbo: float | None = None,
        sd_log_weights: float | None = None,
        khat: float | None = None,
        gradients: int,
        seconds_left: float | None = None,
    ) -> None:
        """Show the newest numbers: the stage `fit` is in, and target gradients so far."""
        elapsed = self._clock() - self._start
        self._show(_State(stage, elbo, sd_log_weights, khat, gradients, elapsed, seconds_left))

    @abstractmethod
    def _open(self) -> None:
        """Get ready to show something."""

    @abstractmethod
    def _close(self) -> None:
        """Leave the last numbers in view, and the terminal as it was."""

    @abstractmethod
    def _show(self, state: _State) -> None:
        """Show a new state, or keep it for later."""


@final
class SilentDisplay(Display):
    """Shows nothing."""

    def _open(self) -> None:
        pass

    def _close(self) -> None:
        pass

    def _show(self, state: _State) -> None:
        pass


@final
class PlainDisplay(Display):
    """Prints a line when the stage changes, otherwise at most one every few seconds: for logs and pipes."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic):
        super().__init__(clock)
        self._stream = stream
        self._printed: _State | None = None
        self._latest: _State | None = None

    def _open(self) -> None:
        pass

    def _close(self) -> None:
        self._print(self._latest)

    def _show(self, state: _State) -> None:
        printed = self._printed
        if printed is None or printed.stage != state.stage:
            self._print(self._latest)
            self._print(state)
        elif state.elapsed - printed.elapsed >= _SECONDS_BETWEEN_LINES:
            self._print(state)
        self._latest = state

    def _print(self, state: _State | None) -> None:
        if state is None or state is self._printed:
            return
        self._printed = state
        # A reader that went away (`flowvi fit ... 2>&1 | head`) must not cost the user the fit.
        with contextlib.suppress(OSError):
            print(state.line(), file=self._stream, flush=True)


@final
class LiveDisplay(Display):
    """A table on the terminal with a row per stage, the last one changing in place."""

    def __init__(self, stream: TextIO):
        super().__init__()
        # Importing rich takes a tenth of a second, which only a terminal should pay.
        from rich.console import Console
        from rich.live import Live

        self._rows: list[_State] = []
        # stdout stays the user's own: rich would send what is printed there to this console, stderr.
        self._live = Live(
            console=Console(file=stream),
            refresh_per_second=2,
            redirect_stdout=False,
            get_renderable=self._table,
        )

    def _open(self) -> None:
        self._live.start()

    def _close(self) -> None:
        self._live.stop()

    def _show(self, state: _State) -> None:
        same_stage = bool(self._rows) and self._rows[-1].stage == state.stage
        # A new list, since another thread draws the table.
        self._rows = [*(self._rows[:-1] if same_stage else self._rows), state]

    def _table(self) -> Table:
        from rich.table import Table

        waiting = _State("starting", None, None, None, 0, 0.0, None)
        table = Table(box=None, pad_edge=False, header_style="dim")
        for name in waiting.cells():
            table.add_column(name, justify="left" if name == "stage" else "right", no_wrap=True)
        *earlier, current = self._rows or [waiting]
        # The clock runs on between updates, so that a long compilation does not look like a hang.
        for state in (*earlier, replace(current, elapsed=self._clock() - self._start)):
            table.add_row(*state.cells().values())
        return table


def display(progress: bool) -> Display:
    """The display that suits stderr: live on a terminal, plain lines elsewhere, none without `progress`.

    Example:
        >>> with display(progress=True) as shown:
        ...     shown.update("explore", gradients=0)
    """
    if not progress or sys.stderr is None:
        return SilentDisplay()
    if sys.stderr.isatty():
        return LiveDisplay(sys.stderr)
    return PlainDisplay(sys.stderr)
