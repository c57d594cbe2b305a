"""GS1 Digital Link parsing: shapes, order, check digits, and nothing that deceives."""

from __future__ import annotations

import contextlib
from datetime import date
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaincode.identifiers import canonical
from gateway.digital_link import LinkError, check_digit, from_uri, parse

GTIN = "09521105000012"
CHARSET_82 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!\"%&'()*+,-./:;<=>?_"
SERIALS = st.text(CHARSET_82, min_size=1, max_size=20)
BODIES = st.text("0123456789", min_size=13, max_size=13)


@given(BODIES, SERIALS, SERIALS)
def test_every_serial_and_lot_survives_its_own_canonical_path(
    body: str, lot: str, ser: str
) -> None:
    """A serial with a slash or percent sign must not become another product's address."""
    gtin = body + check_digit(body)
    link = parse(f"/01/{gtin}/10/{quote(lot, safe='')}/21/{quote(ser, safe='')}")
    assert link.qualifiers == (("10", lot), ("21", ser))
    assert parse(link.path) == link
    assert not link.moved


@given(BODIES, SERIALS)
def test_the_uri_is_the_one_the_contract_knows(body: str, ser: str) -> None:
    gtin = body + check_digit(body)
    link = parse(f"/01/{gtin}/21/{quote(ser, safe='')}")
    assert canonical(link.uri) == link.uri


@given(st.text(max_size=60), st.text(max_size=40))
def test_nothing_but_link_errors_comes_out(path: str, query: str) -> None:
    for given_path in (path, f"/01/{GTIN}/{path}", f"/{path}"):
        with contextlib.suppress(LinkError):
            parse(quote(given_path, safe="/%"), query)


@pytest.mark.parametrize(
    ("short", "full"),
    [("9521105000012", GTIN), ("012345678905", "00012345678905"), ("40170725", "00000040170725")],
)
def test_shorter_gtins_are_padded_and_moved(short: str, full: str) -> None:
    link = parse(f"/01/{short}")
    assert (link.value, link.moved) == (full, True)
    assert link.path == f"/01/{full}"


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/", "LINK_KEY"),
        ("/99/1", "LINK_KEY"),
        ("/01", "LINK_PAIRS"),
        (f"/01/{GTIN}/21", "LINK_PAIRS"),
        ("/01/1234567", "LINK_GTIN"),
        ("/01/0952110500001x", "LINK_GTIN"),
        ("/01/09521105000013", "LINK_CHECK_DIGIT"),
        ("/00/106141412345678909", "LINK_CHECK_DIGIT"),
        ("/417/4012345000008", "LINK_CHECK_DIGIT"),
        (f"/01/{GTIN}/21/A/10/B", "LINK_ORDER"),
        (f"/01/{GTIN}/21/A/21/B", "LINK_TWICE"),
        (f"/01/{GTIN}/254/A", "LINK_QUALIFIER"),
        (f"/01/{GTIN}/10/A/235/B", "LINK_QUALIFIER"),
        (f"/01/{GTIN}/21/{'A' * 21}", "LINK_VALUE"),
        (f"/01/{GTIN}/21/%E2%80%AEabc", "LINK_CHARACTERS"),
        (f"/01/{GTIN}/21/a%00b", "LINK_VALUE"),
        (f"/01/{GTIN}/21/a%0Ab", "LINK_VALUE"),
        (f"/01/{GTIN}/21/a%20b", "LINK_VALUE"),
        ("/01/" + "1" * 500, "LINK_TOO_LONG"),
    ],
)
def test_malformed_links_are_refused_by_name(path: str, code: str) -> None:
    with pytest.raises(LinkError) as caught:
        parse(path)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("17=269931", "LINK_VALUE"),
        ("99999=1", "LINK_AI"),
        ("17=261231&17=270101", "LINK_TWICE"),
        ("10=%ff", "LINK_QUERY"),
    ],
)
def test_malformed_attributes_are_refused(query: str, code: str) -> None:
    with pytest.raises(LinkError) as caught:
        parse(f"/01/{GTIN}", query)
    assert caught.value.code == code


def test_attributes_are_read_and_other_parameters_left_alone() -> None:
    link = parse(f"/01/{GTIN}", "17=261231&3103=000195&linkType=gs1:pip&utm_source=x")
    assert dict(link.attributes) == {"17": "261231", "3103": "000195"}
    assert link.expiry == date(2026, 12, 31)


def test_qualifiers_in_the_query_move_to_the_path() -> None:
    link = parse(f"/01/{GTIN}", "21=S1&10=L1")
    assert link.path == f"/01/{GTIN}/10/L1/21/S1"
    assert link.moved


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("280200", date(2028, 2, 29)),  # day 00 is the last of the month
        ("271200", date(2027, 12, 31)),
        ("270230", None),
    ],
)
def test_gs1_dates(text: str, expected: date | None) -> None:
    assert parse(f"/01/{GTIN}", f"17={text}").expiry == expected


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        (f"https://brand.example/some/where/01/{GTIN}/21/A", f"/01/{GTIN}/21/A"),
        (f"HTTP://id.gs1.org/01/{GTIN}?17=261231".lower(), f"/01/{GTIN}"),
        ("https://id.gs1.org/00/106141412345678908", "/00/106141412345678908"),
    ],
)
def test_links_on_any_domain_are_read(uri: str, path: str) -> None:
    assert from_uri(uri).path == path


@pytest.mark.parametrize("uri", ["", "ftp://x/01/1", "https://x.example/about", "01/1"])
def test_other_addresses_are_not_links(uri: str) -> None:
    with pytest.raises(LinkError):
        from_uri(uri)
