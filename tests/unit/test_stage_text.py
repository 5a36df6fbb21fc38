from __future__ import annotations

from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.stages.language import language
from app.stages.simhash import distance, simhash, simhash_of
from app.stages.testing import make_page
from app.stages.text import text
from app.stages.title import title
from tests.support.site import doc_folder, doc_pages

_ARTICLE = (
    "<p>After eleven days of storm the ferry between the harbour and the three islands sailed again on Monday morning, "
    "with four hundred passengers who had been waiting in hotels and in the school's gymnasium.</p>"
    "<p>The harbour master said that the swell had fallen below two metres for the first time since February, and that "
    "the pier, which lost part of its railing, had been inspected by divers.</p>"
)
_PAGE = f"""<!doctype html><html lang="en-GB"><head><title>Ferry</title><style>p {{}}</style></head><body>
  <header><nav><ul><li><a href="/">Home</a></li><li><a href="/news">News</a></li></ul></nav></header>
  <main><article><h1>Ferry sails again</h1>{_ARTICLE}<ul><li>The railing of the eastern pier, forty metres of it</li>
  <li>Two fishing boats that broke loose</li></ul>
  <table><tr><td>Sunday</td><td>2.4 m</td></tr></table></article></main>
  <script>var unseen = 1</script><template>unseen</template>
  <footer><p>Imprint and privacy</p></footer></body></html>"""


def test_text_is_the_main_part() -> None:
    page = make_page(_PAGE)
    found = text(page)
    assert found.startswith("Ferry sails again\n\nAfter eleven days")
    assert "inspected by divers.\n\n" in found
    assert "• Two fishing boats" in found
    assert "Sunday\t\t2.4 m" in found
    for surrounding in ("Home", "News", "Imprint", "unseen", "p {"):
        assert surrounding not in found
    assert title(page) == "Ferry", "the shared tree must be left as it was"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("<nav>Only this</nav>", "Only this"),
        ("just words", "just words"),
        ("<p>One   <b>two</b></p><p>three &lt;four&gt;</p>", "One two\n\nthree <four>"),
        ("", ""),
        ("<script>x()</script>", ""),
        ("<pre>a\n  b</pre>", "a\n  b"),
    ],
)
def test_text_of_pages_without_a_main_part(body: str, expected: str) -> None:
    assert text(make_page(body)) == expected


@pytest.mark.parametrize("around", ["{}", "<main>{}</main>", "<div><div><article>{}</article></div></div>"])
def test_lists_are_text_and_lists_of_links_are_not(around: str) -> None:
    items = "<li>The railing of the eastern pier, forty metres of it</li><li>Two fishing boats that broke loose</li>"
    menu = "<ul><li><a href='/'>Home page</a></li><li><a href='/news'>All news</a></li></ul>"
    found = text(make_page(menu + around.format(f"{_ARTICLE}<ul>{items}</ul>{_ARTICLE}<ol><li>The bell</li></ol>")))
    assert "• Two fishing boats" in found
    assert "1. The bell" in found
    assert "All news" not in found


def test_plain_text_is_given_as_it_is() -> None:
    page = make_page(" a < b\n<p>c ", headers={"Content-Type": "Text/Plain; charset=utf-8"})
    assert text(page) == "a < b\n<p>c"


def test_text_of_real_pages() -> None:
    """Their navigation is the same on every page; what they are about is not."""
    root = doc_folder()
    page = make_page((root / "library" / "bisect.html").read_bytes())
    found = text(page)
    assert "This module provides support for maintaining a list in sorted order" in found
    assert "Previous topic" not in found
    assert "Report a Bug" not in found
    for site_page in doc_pages()[::40]:
        assert text(make_page(site_page.file.read_bytes()))


_GERMAN = (
    "Nach elf Tagen Sturm ist die Fähre zwischen dem Hafen und den drei Inseln am Montagmorgen wieder gefahren. "
    "An Bord waren vierhundert Reisende, die in Hotels und in der Turnhalle der Schule gewartet hatten. Der "
    "Hafenmeister sagte, die Wellen seien zum ersten Mal seit Februar niedriger als zwei Meter gewesen."
)
_JAPANESE = (
    "昨日、港から三つの島へ向かうフェリーが、十一日ぶりに運航を再開しました。嵐のあいだ、四百人の乗客がホテルや学校の体育館"
    "で待っていました。港長によると、波の高さは二月以来初めて二メートルを下回り、手すりの一部を失った桟橋はダイバーによって点検"
    "されました。"
)
_RUSSIAN = (
    "После одиннадцати дней шторма паром между гаванью и тремя островами снова вышел в море в понедельник утром. "
    "На борту было четыреста пассажиров, которые ждали в гостиницах и в школьном спортивном зале."
)


@pytest.mark.parametrize(
    ("body", "detected"),
    [
        (_ARTICLE, "en"),
        (f"<p>{_GERMAN}", "de"),
        (f"<p>{_JAPANESE}", "ja"),
        (f"<p>{_RUSSIAN}", "ru"),
        ("<p>Too short to tell", None),
        (f"<p>{_GERMAN[:170]}", None),
        ("<p>" + "12 345 - 67.8 " * 100, None),
        ("", None),
    ],
)
def test_language(body: str, detected: str | None) -> None:
    assert language(make_page(body)) == {"detected": detected, "declared": None}


@pytest.mark.parametrize(
    ("body", "header", "declared"),
    [
        ('<html lang=" de-AT "><p>x', None, "de-AT"),
        ('<html lang="fr"><p>x', "en", "fr"),
        ('<html lang=""><p>x', "en, de", "en"),
        ('<html lang="<script>"><p>x', None, None),
        ('<p lang="it">x', None, None),
        ("", "not a language", None),
    ],
)
def test_the_declared_language(body: str, header: str | None, declared: str | None) -> None:
    page = make_page(body, headers={"Content-Language": header} if header else None)
    assert language(page)["declared"] == declared


def test_language_of_real_pages() -> None:
    found = [language(make_page(page.file.read_bytes())) for page in doc_pages()[::40]]
    assert {one["declared"] for one in found} <= {"en", None}
    assert {one["detected"] for one in found} <= {"en", None}
    assert sum(one["detected"] == "en" for one in found) > len(found) / 2


def test_near_texts_have_near_fingerprints() -> None:
    one = simhash(make_page(_PAGE))
    other = simhash(make_page(_PAGE.replace("Imprint and privacy", "Another footer").replace("divers", "experts")))
    unlike = simhash(make_page(f"<p>{_GERMAN}"))
    assert one is not None
    assert other is not None
    assert unlike is not None
    assert 0 < distance(one, other) < 16 < distance(one, unlike)
    assert simhash(make_page(_PAGE.replace("News", "Sports"))) == one, "navigation does not count"


def test_a_fingerprint_is_the_same_everywhere() -> None:
    """It is stored and compared later: it must not change with the process, the version or the machine."""
    assert simhash(make_page("<p>One two three four five")) == "333be27175ba54e4"
    assert simhash(make_page("<p>one, TWO three; four five!")) == "333be27175ba54e4"
    assert simhash(make_page("<p>日本語の文章です")) == "3914c594d84b7a84"


@pytest.mark.parametrize(
    ("body", "has_words"), [("", False), ("<p>- . !", False), ("<p>word", True), ("<p>two words", True)]
)
def test_fingerprints_of_little(body: str, has_words: bool) -> None:
    assert (simhash(make_page(body)) is not None) is has_words


@given(st.lists(st.text(st.characters(categories=["Ll", "Lu", "Nd"], max_codepoint=0x24F), min_size=1), max_size=30))
def test_every_bit_is_the_majority_of_the_features(words: list[str]) -> None:
    """Against the definition, written down plainly."""
    lower = [word.lower() for word in words]
    features = [" ".join(lower[at : at + 3]) for at in range(len(lower) - 2)] if len(lower) >= 3 else lower
    hashes = [int.from_bytes(blake2b(one.encode(), digest_size=8).digest(), "little") for one in features]
    expected = sum(1 << bit for bit in range(64) if sum(1 if one >> bit & 1 else -1 for one in hashes) > 0)
    assert simhash_of(" ".join(words)) == (expected if words else None)


_PIECES = (
    "<p>", "<div class=main>", "</div>", "<article>", "<table><td>", "<svg>", "<!--", "-->", "<![CDATA[", "\0", "&#0;",
    "word ", "é", "日本", "<html lang=de>", "<base href=x>", "<title>", "<a href='//x'>", "\ud800",
)  # fmt: skip


@given(st.lists(st.sampled_from(_PIECES), max_size=60).map("".join))
def test_any_markup_gives_values(markup: str) -> None:
    body = markup.encode("utf-8", "surrogatepass")
    found = text(make_page(body))
    found.encode()
    assert found == found.strip()
    language(make_page(body))
    simhash(make_page(body))
