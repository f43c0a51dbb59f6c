"""Progress: seldom, the last line always, and never at the cost of what is computed."""

import sys

from flowvi.lines import Lines


def test_the_last_line_is_printed_and_those_in_quick_succession_are_not(capsys):
    with Lines(progress=True) as lines:
        lines.show("first")
        lines.show("last")
    assert capsys.readouterr() == ("", "last\n")


def test_nothing_is_printed_where_nobody_asked(capsys):
    with Lines(progress=False) as lines:
        lines.show("last")
    assert capsys.readouterr() == ("", "")


def test_a_reader_that_went_away_costs_nothing(monkeypatch):
    class Closed:
        def write(self, text):
            raise BrokenPipeError

        def flush(self):
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Closed())
    with Lines(progress=True) as lines:
        lines.show("last")
