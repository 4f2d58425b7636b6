"""Progress: a bar on a terminal, lines in a log."""

import io
import sys

from fgaseg_d2.io.progress import Progress, with_progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def shown(stream, **options):
    with Progress(3000, "picture", stream=stream, **options) as progress:
        for count in (1, 999, 2000):
            progress.update(count)
    return stream.getvalue()


def test_a_log_gets_whole_lines_from_time_to_time():
    text = shown(io.StringIO(), seconds=0.0, title="scenes")
    assert text == "scenes: 1 of 3,000\nscenes: 1,000 of 3,000\nscenes: 3,000 of 3,000\n"
    assert shown(io.StringIO(), seconds=0.0).startswith("pictures: 1 of 3,000\n")
    assert shown(io.StringIO()) == ""


def test_a_length_that_nobody_knows():
    stream = io.StringIO()
    with Progress(None, "frame", stream=stream, seconds=0.0) as progress:
        progress.update(7)
    assert stream.getvalue() == "frames: 7\n"


def test_a_terminal_gets_a_bar_that_is_drawn_over():
    text = shown(Terminal(), title="scenes")
    assert "\r" in text and "scenes" in text and "3000/3000" in text and "picture/s" in text
    assert text.count("\n") == 1


def test_items_pass_through_and_an_error_ends_the_bar(monkeypatch):
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    assert list(with_progress("abc", 3, "file", "copying")) == ["a", "b", "c"]
    assert "copying" in stream.getvalue() and stream.getvalue().endswith("\n")
