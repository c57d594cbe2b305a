"""Identifiers: every accepted form gives one canonical form, nothing malformed gets through.

Would catch: two spellings of one product counted as two, a wrong check digit accepted, a lot
name that smuggles a path or a direction mark into a page.
"""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaincode.errors import IdentifierError
from chaincode.gs1_keys import check_digit, gtin14, with_check_digit
from chaincode.identifiers import as_party, canonical, parse

SET_82 = "!\"%&'()*+,-./0123456789:;<=>?ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
D = "https://id.gs1.org/"

digits = st.text("0123456789", min_size=1)
serials = st.text(SET_82, min_size=1, max_size=20)


# worked examples: GS1 General Specifications §7.9, EPC Tag Data Standard §6.3 and §7
@pytest.mark.parametrize(
    ("text", "kind", "uri"),
    [
        ("urn:epc:id:sgtin:0614141.107346.2017", "sgtin", "01/10614141073464/21/2017"),
        ("urn:epc:class:lgtin:4012345.012345.998877", "lgtin", "01/04012345123456/10/998877"),
        ("urn:epc:idpat:sgtin:4012345.098765.*", "gtin", "01/04012345987652"),
        ("urn:epc:id:sscc:0614141.1234567890", "sscc", "00/106141412345678908"),
        ("urn:epc:id:sgln:0614141.12345.400", "gln", "414/0614141123452/254/400"),
        ("urn:epc:id:sgln:0614141.12345.0", "gln", "414/0614141123452"),
        ("urn:epc:id:pgln:0614141.12345", "pgln", "417/0614141123452"),
        ("urn:epc:id:grai:0614141.12345.400", "grai", "8003/00614141123452400"),
        ("urn:epc:id:giai:0614141.12345400", "giai", "8004/061414112345400"),
        ("urn:epc:id:gsrn:0614141.1234567890", "gsrn", "8018/061414112345678902"),
        ("urn:epc:id:gsrnp:0614141.1234567890", "gsrnp", "8017/061414112345678902"),
        ("urn:epc:id:gdti:0614141.12345.006847", "gdti", "253/0614141123452006847"),
        ("urn:epc:id:sgcn:4012345.67890.04711", "gcn", "255/401234567890104711"),
        ("urn:epc:id:ginc:0614141.xyz3311cba", "ginc", "401/0614141xyz3311cba"),
        ("urn:epc:id:gsin:0614141.123456789", "gsin", "402/06141411234567890"),
        ("urn:epc:id:cpi:0614141.123ABC.123456789", "cpi", "8010/0614141123ABC/8011/123456789"),
        ("urn:epc:id:itip:4012345.012345.01.02.987", "itip", "8006/040123451234560102/21/987"),
        ("urn:epc:id:upui:1234567.089456.51qIgY", "upui", "01/01234567894560/235/51qIgY"),
        # a company prefix of 12 digits: the reference is empty
        ("urn:epc:id:pgln:999999999999.", "pgln", "417/9999999999994"),
        ("urn:epc:id:sgln:437473647364..0", "gln", "414/4374736473640"),
        ("urn:epc:id:sgln:437473647364..A1", "gln", "414/4374736473640/254/A1"),
        ("urn:epc:id:gdti:987659999999..9", "gdti", "253/98765999999929"),
        ("urn:epc:id:grai:123456789012..4", "grai", "8003/012345678901284"),
        ("urn:epc:idpat:grai:123456789012..*", "grai", "8003/01234567890128"),
        ("urn:epc:id:sgcn:439439434939..4", "gcn", "255/43943943493924"),
        ("9521234543213", "gtin", "01/09521234543213"),
        ("09521234543213", "gtin", "01/09521234543213"),
        ("(01)09521234543213(10)A1(21)7", "sgtin", "01/09521234543213/21/7"),
        ("(00)106141412345678908", "sscc", "00/106141412345678908"),
        ("106141412345678908", "sscc", "00/106141412345678908"),
        (
            "https://example.com/shop/01/9521234543213/10/A1?x=1#y",
            "lgtin",
            "01/09521234543213/10/A1",
        ),
        ("https://id.gs1.org/01/09521234543213/22/2A/10/A/21/7", "sgtin", "01/09521234543213/21/7"),
        ("HTTPS://ID.GS1.ORG/414/0614141123452", "gln", "414/0614141123452"),
        ("https://id.gs1.org/417/0614141123452/7040/1ABC", "pgln", "417/0614141123452"),
        ("https://id.gs1.org/8004/0614141AB/7040/1ABC", "giai", "8004/0614141AB"),
    ],
)
def test_forms_of_one_identifier(text: str, kind: str, uri: str) -> None:
    found = parse(text)
    assert (found.kind, found.uri) == (kind, D + uri)
    assert canonical(found.uri) == found.uri


@pytest.mark.parametrize(
    "text",
    [
        "https://example.com/01/about",
        "https://example.com/products/coffee",
        "urn:uuid:374d95fc-9457-4a51-bd6a-0bba133845a8",
        "urn:epc:id:gid:95100000.12345.400",
        "urn:epc:idpat:sgtin:4012345.*.*",
        "http://transaction.acme.com/po/12345678",
    ],
)
def test_foreign_uris_stay_as_they_are(text: str) -> None:
    assert parse(text).kind == "other"
    assert parse(text).uri == text


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("https://id.gs1.org/01/09521234543214", "BAD_CHECK_DIGIT"),
        ("9521234543214", "BAD_CHECK_DIGIT"),
        ("https://id.gs1.org/00/106141412345678907", "BAD_CHECK_DIGIT"),
        ("https://id.gs1.org/417/0614141123453", "BAD_CHECK_DIGIT"),
        ("https://id.gs1.org/8003/00614141123453400", "BAD_CHECK_DIGIT"),
        ("https://id.gs1.org/253/0614141123453", "BAD_CHECK_DIGIT"),
        ("(01)09521234543213(10)" + "A" * 21, "BAD_IDENTIFIER"),
        ("(99)123", "BAD_IDENTIFIER"),
        ("(01)0952", "BAD_IDENTIFIER"),
        ("123456789", "BAD_IDENTIFIER"),
        ("no identifier", "BAD_IDENTIFIER"),
        ("", "BAD_IDENTIFIER"),
        ("urn:epc:id:sgtin:0614141.10734.2017", "BAD_IDENTIFIER"),
        ("urn:epc:id:sgtin:06141.41107346.2017", "BAD_IDENTIFIER"),
        ("urn:epc:id:sgtin:0614141.107346", "BAD_IDENTIFIER"),
        ("urn:epc:id:sgtin:061414x.107346.1", "BAD_IDENTIFIER"),
        ("urn:epc:id", "BAD_IDENTIFIER"),
        ("https://id.gs1.org/417/0614141123452/7040/ABC", "BAD_IDENTIFIER"),
        ("urn:epc:id:pgln:0614141.", "BAD_IDENTIFIER"),
        ("urn:epc:id:pgln:999999999999", "BAD_IDENTIFIER"),
        ("urn:epc:id:gdti:987659999999.9", "BAD_IDENTIFIER"),
        ("urn:epc:id:gdti:987659999999..", "BAD_IDENTIFIER"),
        ("urn:epc:id:ginc:987659999999.", "BAD_IDENTIFIER"),
        ("urn:tracemark:party:A", "BAD_IDENTIFIER"),
        ("https://id.gs1.org/01/09521234543213/10/%E2%80%AEfdp", "UNSAFE_CHARACTERS"),
        ("https://id.gs1.org/01/09521234543213/10/a\u202eb", "UNSAFE_CHARACTERS"),
        ("https://id.gs1.org/01/09521234543213/10/a%00b", "UNSAFE_CHARACTERS"),
        ("urn:x:\u200b", "UNSAFE_CHARACTERS"),
        ("urn:x:" + "y" * 600, "BAD_IDENTIFIER"),
        ("https://id.gs1.org/01/09521234543213/21/a%C3%A9", "BAD_IDENTIFIER"),
    ],
)
def test_malformed_identifiers_are_refused(text: str, code: str) -> None:
    with pytest.raises(IdentifierError) as caught:
        parse(text)
    assert caught.value.code == code
    assert caught.value.message.endswith(".")


@given(st.integers(0, 10**13 - 1), serials)
def test_a_serialised_item_survives_every_form(number: int, serial: str) -> None:
    gtin = with_check_digit(f"{number:013d}")
    link = f"{D}01/{gtin}/21/{quote(serial, safe='')}"
    urn = f"urn:epc:id:sgtin:{gtin[1:8]}.{gtin[0]}{gtin[8:13]}.{quote(serial, safe='')}"
    found = parse(link)
    assert found == parse(urn) == parse(f"https://shop.example/p/01/{gtin}/21/{quote(serial)}") or (
        "/" in serial  # unescaped, it would be another path segment
    )
    assert parse(urn).uri == found.uri == canonical(found.uri)
    assert found.serial == serial
    assert found.is_instance


@given(st.integers(0, 10**13 - 1), serials)
def test_a_lot_survives_every_form(number: int, lot: str) -> None:
    gtin = with_check_digit(f"{number:013d}")
    urn = f"urn:epc:class:lgtin:{gtin[1:8]}.{gtin[0]}{gtin[8:13]}.{quote(lot, safe='')}"
    found = parse(f"{D}01/{gtin}/10/{quote(lot, safe='')}")
    assert found == parse(urn)
    assert (found.gtin, found.lot, found.is_class) == (gtin, lot, True)


@given(st.integers(0, 10**13 - 1), st.integers(0, 9), st.integers(1, 9))
def test_a_changed_digit_is_noticed(number: int, place: int, by: int) -> None:
    gtin = with_check_digit(f"{number:013d}")
    changed = gtin[:place] + str((int(gtin[place]) + by) % 10) + gtin[place + 1 :]
    with pytest.raises(IdentifierError) as caught:
        gtin14(changed)
    assert caught.value.code == "BAD_CHECK_DIGIT"


@given(st.sampled_from([7, 11, 12, 13]), st.integers(0, 10**13 - 1))
def test_short_gtins_are_padded(length: int, number: int) -> None:
    short = with_check_digit(f"{number % 10**length:0{length}d}")
    assert parse(short).gtin == short.zfill(14) == gtin14(short)


@given(st.text("0123456789", min_size=3, max_size=17))
def test_check_digit_makes_the_weighted_sum_a_multiple_of_ten(text: str) -> None:
    whole = text + check_digit(text)
    weighted = sum(int(d) * (1 if i % 2 == 0 else 3) for i, d in enumerate(reversed(whole)))
    assert weighted % 10 == 0


@given(st.text(max_size=60))
def test_any_text_is_parsed_or_refused_and_parsing_is_stable(text: str) -> None:
    try:
        found = parse(text)
    except IdentifierError:
        return
    assert parse(found.uri).uri == found.uri


@pytest.mark.parametrize(
    "text",
    [
        "0614141123452",
        "https://id.gs1.org/414/0614141123452",
        "https://id.gs1.org/414/0614141123452/254/DOCK1",
        "urn:epc:id:sgln:0614141.12345.0",
        "urn:epc:id:pgln:0614141.12345",
        "https://example.com/417/0614141123452",
    ],
)
def test_every_gln_form_names_one_party(text: str) -> None:
    assert as_party(text) == D + "417/0614141123452"


def test_a_party_without_gs1_prefix_keeps_its_slug() -> None:
    assert as_party("urn:tracemark:party:halo-ridge") == "urn:tracemark:party:halo-ridge"
    assert parse("urn:tracemark:party:halo-ridge").kind == "party"
