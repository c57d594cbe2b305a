"""The public projection: the same event in any spelling shows the same, and nothing private.

Would catch: a time read in the wrong zone, a number rounded, a URN and a Digital Link that look
like two products, a price or sensor value that leaks onto the chain.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from world import gln, party_id, sgtin

from chaincode import codec
from chaincode.projection import carbon_of, cbv_name, epoch_ms, plain_decimal, project
from chaincode.shape import check_event

URN = "urn:epc:id:sgtin:9521234.054321.A"
LINK = "https://id.gs1.org/01/09521234543213/21/A"


def event(**fields: Any) -> dict[str, Any]:
    return {
        "type": "ObjectEvent",
        "eventTime": "2026-03-29T03:30:00.250+02:00",
        "eventTimeZoneOffset": "+02:00",
        "action": "OBSERVE",
        **fields,
    }


def test_the_whole_of_an_event() -> None:
    found = project(
        event(
            eventID="urn:uuid:1",
            bizStep="urn:epcglobal:cbv:bizstep:shipping",
            disposition="https://ref.gs1.org/cbv/Disp-in_transit",
            epcList=[LINK.replace("id.gs1.org", "shop.example/p")],
            quantityList=[
                {
                    "epcClass": "https://id.gs1.org/01/9521234543213/10/L1",
                    "quantity": 12.50,
                    "uom": "KGM",
                }
            ],
            readPoint={"id": f"urn:epc:id:sgln:{gln(1)[:7]}.{gln(1)[7:12]}.0"},
            bizLocation={"id": f"https://id.gs1.org/414/{gln(1)}"},
            sourceList=[
                {
                    "type": "urn:epcglobal:cbv:sdt:possessing_party",
                    "source": f"https://id.gs1.org/414/{gln(1)}",
                }
            ],
            destinationList=[{"type": "location", "destination": "https://example.com/dock"}],
            bizTransactionList=[{"type": "po", "bizTransaction": "urn:epcglobal:cbv:bt:1:2"}],
            ilmd={"cbvmda:itemExpirationDate": "2027-01-31T00:00:00Z"},
            **{
                "tm:country": "CH",
                "tm:loss": [{"epcClass": LINK, "quantity": 1, "uom": "EA", "reason": "spill"}],
                "tm:disclosure": "partners",
                "example:price": 99,
                "sensorElementList": [{"sensorReport": [{"value": 26}]}],
            },
        )
    )
    assert found == {
        "v": 1,
        "type": "ObjectEvent",
        "event_id": "urn:uuid:1",
        "action": "OBSERVE",
        "time_ms": 1_774_747_800_250,
        "tz": "+02:00",
        "step": "shipping",
        "disposition": "in_transit",
        "epcs": [LINK],
        "quantities": [
            {"id": "https://id.gs1.org/01/09521234543213/10/L1", "qty": "12.5", "unit": "KGM"}
        ],
        "read_point": f"https://id.gs1.org/414/{gln(1)}",
        "location": f"https://id.gs1.org/414/{gln(1)}",
        "country": "CH",
        "from": [{"type": "possessing_party", "id": party_id(1)}],
        "to": [{"type": "location", "id": "https://example.com/dock"}],
        "transactions": [{"type": "po", "id": "urn:epcglobal:cbv:bt:1:2"}],
        "losses": [{"id": LINK, "qty": "1", "unit": "EA", "reason": "spill"}],
        "expiry": "2027-01-31",
        "disclosure": "partners",
    }


def test_a_urn_and_a_link_show_the_same() -> None:
    assert project(event(epcList=[URN])) == project(event(epcList=[LINK]))
    assert project(event(epcList=[URN]))["epcs"] == [sgtin("A")]


def test_an_unknown_type_is_shown_as_extended() -> None:
    found = project(event(type="ex:HarvestEvent"))
    assert (found["type"], found["extra_type"]) == ("ExtendedEvent", "ex:HarvestEvent")


def test_unreadable_identifiers_and_numbers_stay_visible() -> None:
    found = project(
        event(
            epcList=["https://id.gs1.org/01/09521234543214/21/A"],
            quantityList=[{"epcClass": "urn:x:y", "quantity": float("nan")}],
        )
    )
    assert found["epcs"] == ["https://id.gs1.org/01/09521234543214/21/A"]
    assert found["quantities"] == [{"id": "urn:x:y", "qty": "NaN"}]


def test_an_error_declaration_is_shown() -> None:
    declared = {
        "declarationTime": "2026-01-01T00:00:00Z",
        "reason": "urn:epcglobal:cbv:er:incorrect_data",
        "correctiveEventIDs": ["urn:uuid:2"],
    }
    found = project(event(errorDeclaration=declared))["error"]
    assert found == {
        "time_ms": 1_767_225_600_000,
        "reason": "incorrect_data",
        "corrective": ["urn:uuid:2"],
    }


def test_carbon_records_are_taken_from_the_event() -> None:
    record = {
        "stage": "transport",
        "subjects": [URN],
        "co2e_mg": 5,
        "activity": {"amount": 12.5, "unit": "TKM"},
        "factor": {"id": "f", "version": "1", "value_mg_per_unit": 2},
    }
    assert carbon_of(event(**{"tm:carbon": [record]})) == [
        {
            **record,
            "subjects": [LINK],
            "activity": {"amount": "12.5", "unit": "TKM"},
            "factor": {"id": "f", "version": "1", "value_mg_per_unit": "2"},
        }
    ]
    assert carbon_of(event()) == []


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("urn:epcglobal:cbv:bizstep:void_shipping", "void_shipping"),
        ("https://ref.gs1.org/cbv/BizStep-shipping", "shipping"),
        ("https://ns.gs1.org/cbv/Disp-in_transit", "in_transit"),
        ("cbv:BTT-po", "po"),
        ("shipping", "shipping"),
        ("http://example.org/own-step", "http://example.org/own-step"),
    ],
)
def test_cbv_names(text: str, short: str) -> None:
    assert cbv_name(text) == short


@given(
    st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)),
    st.integers(-14 * 60, 14 * 60),
)
def test_times_are_read_as_the_calendar_says(moment: datetime, minutes: int) -> None:
    zoned = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    exact = (zoned - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    text = zoned.isoformat(timespec="microseconds")
    assert epoch_ms(text) == exact
    if minutes == 0:
        assert epoch_ms(text.replace("+00:00", "Z")) == exact
    bare, sign, zone = text[:-6], text[-6], text[-5:]
    assert epoch_ms(bare, sign + zone) == exact


@pytest.mark.parametrize("text", ["", "today", "2026-13-01T00:00:00Z", "2026-01-01", "٢٠٢٦"])
def test_other_times_are_not_guessed(text: str) -> None:
    assert epoch_ms(text) is None


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12))
def test_decimals_are_written_out_exactly(number: Decimal) -> None:
    shown = plain_decimal(number)
    if shown:
        assert "E" not in shown.upper()
        assert Decimal(shown) == number


@given(st.floats(min_value=1e-9, max_value=1e12))
def test_floats_are_written_as_their_shortest_decimal(number: float) -> None:
    assert float(plain_decimal(number)) == number


@pytest.mark.parametrize("value", [True, None, "x", float("inf"), [], 10**80, "1e99"])
def test_what_is_no_number_shows_none(value: object) -> None:
    assert plain_decimal(value) == ""


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3)
    ),
    max_leaves=10,
)
names = st.sampled_from(
    [
        "type", "eventTime", "eventTimeZoneOffset", "eventID", "action", "bizStep", "disposition",
        "epcList", "quantityList", "parentID", "childEPCs", "childQuantityList", "inputEPCList",
        "inputQuantityList", "outputEPCList", "outputQuantityList", "transformationID",
        "readPoint", "bizLocation", "sourceList", "destinationList", "bizTransactionList", "ilmd",
        "errorDeclaration", "tm:loss", "tm:country", "tm:carbon", "tm:disclosure",
    ]
)  # fmt: skip


@given(st.dictionaries(names, json_values, max_size=8))
def test_any_json_object_has_a_projection(found: dict[str, Any]) -> None:
    projection = project(found)
    try:
        raw = codec.dumps(projection)
    except codec.CodecError:
        assert "\\ud" in ascii(projection)
        return
    assert codec.loads(raw) == projection
    carbon_of(found)


def test_a_projection_has_the_shape_the_contract_checks() -> None:
    found = project(event(epcList=[URN], bizStep="shipping"))
    entry = {
        "hash": f"ni:///sha-256;{'a' * 64}?ver=CBV2.0",
        "commitment": "b" * 64,
        "projection": found,
    }
    assert check_event(entry, plain=False) == "a" * 64
