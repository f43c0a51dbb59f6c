"""What a fit shows: on a terminal, in a log, and when it should be silent."""

from __future__ import annotations

import io
import subprocess
import sys

import pytest

from flowvi.display import Display, LiveDisplay, PlainDisplay, SilentDisplay, display


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Clock:
    """A clock that moves only when told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def run(shown: Display) -> None:
    with shown:
        shown.update("explore", gradients=320)
        shown.update("gaussian", elbo=-31.7, sd_log_weights=0.4, gradients=8_000)
        shown.update("flow", elbo=-31.37, sd_log_weights=0.09, khat=0.12, gradients=67_000, seconds_left=4.0)


def test_choice_follows_stderr_and_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert isinstance(display(True), PlainDisplay)
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert isinstance(display(True), LiveDisplay)
    assert isinstance(display(False), SilentDisplay)
    monkeypatch.setattr(sys, "stderr", None)
    assert isinstance(display(True), SilentDisplay)


def test_plain_prints_a_line_per_stage_with_its_numbers() -> None:
    stream = io.StringIO()
    run(PlainDisplay(stream, Clock()))
    lines = stream.getvalue().splitlines()
    assert [line.split()[0] for line in lines] == ["explore", "gaussian", "flow"]
    assert lines[2] == (
        "flow  ELBO -31.370  sd(log w) 0.09  k-hat 0.12  gradients 67,000  elapsed 0.0 s  left 4 s"
    )
    assert "ELBO" not in lines[0]


def test_plain_holds_back_repeats_but_not_the_last_state() -> None:
    stream, clock = io.StringIO(), Clock()
    with PlainDisplay(stream, clock) as shown:
        for gradients in range(100):
            clock.now += 0.5
            shown.update("flow", gradients=gradients)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 11, "one at the start, then every fifth second, and the last"
    assert "gradients 99" in lines[-1]


def test_plain_shows_where_a_stage_ended() -> None:
    stream, clock = io.StringIO(), Clock()
    with PlainDisplay(stream, clock) as shown:
        shown.update("gaussian", gradients=1)
        shown.update("gaussian", gradients=2)
        shown.update("flow", gradients=3)
    assert [line.split()[2] for line in stream.getvalue().splitlines()] == ["1", "2", "3"]


def test_live_table_has_a_row_per_stage() -> None:
    stream = Terminal()
    run(LiveDisplay(stream))
    last = stream.getvalue().split("stage")[-1]
    assert all(text in last for text in ("explore", "gaussian", "-31.370", "0.12", "67,000", "left"))


def test_silent_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    run(display(False))
    assert capsys.readouterr() == ("", "")


def test_nothing_goes_to_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    run(display(True))
    assert capsys.readouterr().out == ""


def test_the_terminal_is_given_back_after_an_error() -> None:
    stream = Terminal()

    def fail() -> None:
        with LiveDisplay(stream):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    hidden, visible = "\x1b[?25l", "\x1b[?25h"
    assert stream.getvalue().count(hidden) == stream.getvalue().count(visible)


def test_a_reader_that_left_does_not_stop_the_fit() -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    run(PlainDisplay(Closed()))


def test_rich_is_imported_only_for_a_terminal() -> None:
    # stderr is a pipe here, so the plain display is chosen
    script = "import sys, flowvi.display as d; d.display(True); sys.exit('rich' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True).returncode == 0
