"""Content negotiation and the page cache as parts of their own."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.web.cache import Entry, PageCache, etag_of
from gateway.web.negotiation import FORMS, form


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", "html"),
        ("*/*", "html"),
        ("application/json", "json"),
        ("APPLICATION/JSON", "json"),
        ("application/json;q=0.1, text/html;q=0.9", "html"),
        ("application/json, */*", "json"),
        ("*/*, application/ld+json", "jsonld"),
        ("application/json;q=0", None),
        ("text/html;q=0, application/json;q=0.2", "json"),
        ("image/png", None),
        ("application/ld+json; profile=x", "jsonld"),
        ("text/html;q=oops", None),
    ],
)
def test_accept(accept: str, expected: str | None) -> None:
    assert form(accept) == expected


@given(st.text(max_size=200))
def test_any_accept_header_has_an_answer(accept: str) -> None:
    assert form(accept) in (None, *FORMS.values())


def entry(size: int) -> Entry:
    body = b"x" * size
    return Entry(200, body, [], etag_of(body), 1, None, (), 10)


def test_the_cache_forgets_the_least_recently_used() -> None:
    """Unbounded, a crawl of made-up serials would fill the memory."""
    cache = PageCache(most_bytes=10_000)
    for number in range(100):
        cache.put((str(number),), entry(1000))
        cache.get(("0",))
    assert cache.get(("0",)) is not None
    assert cache.get(("1",)) is None
    assert sum(cache.get((str(number),)) is not None for number in range(100)) <= 5


def test_replacing_an_entry_does_not_count_twice() -> None:
    cache = PageCache(most_bytes=10_000)
    cache.put(("a",), entry(1000))
    for _ in range(50):
        cache.put(("b",), entry(1000))
    assert cache.get(("a",)) is not None


def test_an_oversized_entry_is_still_served() -> None:
    cache = PageCache(most_bytes=100)
    cache.put(("big",), entry(5000))
    assert cache.get(("big",)) is not None
