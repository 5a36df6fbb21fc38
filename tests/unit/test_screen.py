from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.support.terminal import Screen as Terminal
from workers.screen import Line, Screen

COLUMNS = st.integers(5, 60)
LINES = st.lists(
    st.lists(st.tuples(st.text("ab█ ", max_size=40), st.sampled_from(["", "red"])), max_size=3), max_size=6
)


class Scene:
    """A screen whose texts are written on an emulated terminal."""

    def __init__(self, columns: int = 40, rows: int = 24, *, coloured: bool = False) -> None:
        self.terminal = Terminal(columns)
        self.rows = rows
        self.screen = Screen(coloured=coloured, size=lambda: (self.terminal.columns, self.rows))

    def draw(self, *lines: Line) -> str:
        return self.write(self.screen.draw(lines))

    def write(self, text: str) -> str:
        self.terminal.write(text)
        return self.terminal.text


def plain(text: str) -> Line:
    return [(text, "")]


def test_a_picture_takes_the_place_of_the_last() -> None:
    scene = Scene()
    assert scene.draw(plain("one"), plain("two"), plain("three")) == "one\ntwo\nthree"
    assert scene.draw(plain("uno"), plain("due")) == "uno\ndue"
    assert scene.draw(plain("a"), plain("b"), plain("c"), plain("d")) == "a\nb\nc\nd"


def test_a_line_is_printed_above() -> None:
    scene = Scene()
    scene.draw(plain("one"), plain("two"))
    assert scene.write(scene.screen.above("draining")) == "draining"
    assert scene.draw(plain("three")) == "draining\nthree"
    assert scene.write(scene.screen.clear()) == "draining"


def test_what_does_not_fit_is_cut() -> None:
    scene = Scene(columns=10, rows=2)
    assert scene.draw([("12345", "red"), ("67890", "")], plain("b"), plain("c")) == "123456789\nb"


def test_what_a_terminal_would_obey_is_not_written() -> None:
    assert Scene().draw(plain("a\x1b[2Jb\nc\x07")) == "a?[2Jb?c?"


def test_styles_only_where_they_are_wanted() -> None:
    for coloured in (False, True):
        scene = Scene(coloured=coloured)
        scene.draw([("a", "red"), ("b", "")])
        assert bool(scene.terminal.colours) == coloured


@given(COLUMNS, st.lists(st.tuples(COLUMNS, LINES, st.booleans()), max_size=6))
def test_no_window_leaves_a_rest(columns: int, steps: list[tuple[int, list[Line], bool]]) -> None:
    """However the window changes between two pictures, only the last one is there, under what was printed."""
    scene = Scene(columns)
    scene.terminal.write("$ command\r\n")
    said = 0
    for wide, lines, speaks in steps:
        scene.terminal.resize(wide)
        if speaks:
            scene.write(scene.screen.above("said"))
            said += 1
        shown = scene.draw(*lines)
        picture = ["".join(text for text, _ in line)[: wide - 1].rstrip() for line in lines]
        # What was printed may be broken by a narrow window; it is put together again here.
        assert shown.replace("\n", "").startswith("$ command" + "said" * said)
        assert shown.endswith("\n".join(picture).rstrip())
        assert shown.replace("\n", "") == "$ command" + "said" * said + "".join(picture)
