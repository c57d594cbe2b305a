"""What must never and what must always change an event's hash."""

from __future__ import annotations

import copy
import gc
import json
import random
import timeit
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.epcis.canonical_uri import canonical_uri, check_digit
from gateway.epcis.hash import Hasher, event_hash, pre_hash
from tests.epcis.conftest import CONTEXT, object_event

EXT = "https://ns.example.com/one/"
OTHER = "https://ns.example.com/two#"
DOCUMENT_CONTEXT = [CONTEXT, {"a": EXT, "b": OTHER}]

serials = st.text("ABCXYZabcxyz0123456789-_.", min_size=1, max_size=20)
words = st.text("abcdefgh", min_size=1, max_size=8)
scalars = st.one_of(
    st.booleans(),
    st.integers(-(10**12), 10**12),
    st.text("abc XYZ-é中", min_size=1, max_size=12).map(str.strip).filter(bool),
    st.decimals(-1000, 1000, places=3).map(float),
)
extension_values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3)
        | st.dictionaries(words.map(lambda w: "a:" + w), inner, min_size=1, max_size=3)
    ),
    max_leaves=8,
)
quantities = st.lists(
    st.fixed_dictionaries(
        {
            "epcClass": serials.map(lambda s: f"https://id.gs1.org/01/09521234543213/10/{s}"),
            "quantity": st.integers(0, 10**6) | st.decimals(0, 1000, places=2).map(float),
            "uom": st.sampled_from(["KGM", "LTR", "MTR"]),
        }
    ),
    max_size=3,
)
reports = st.lists(
    st.fixed_dictionaries(
        {"type": st.sampled_from(["Temperature", "Speed", "Mass"]), "value": st.integers(0, 99)},
        optional={"uom": st.sampled_from(["CEL", "KMH"]), "a:note": scalars},
    ),
    min_size=1,
    max_size=3,
)


@st.composite
def events(draw: st.DrawFn) -> dict[str, Any]:
    event = object_event(
        action=draw(st.sampled_from(["OBSERVE", "ADD", "DELETE"])),
        epcList=[
            f"https://id.gs1.org/01/09521234543213/21/{serial}"
            for serial in draw(st.lists(serials, min_size=1, max_size=4, unique=True))
        ],
        quantityList=draw(quantities) or None,
    )
    for name, value in draw(
        st.dictionaries(words.map(lambda w: "b:" + w), extension_values, max_size=3)
    ).items():
        event[name] = value
    if draw(st.booleans()):
        event["sensorElementList"] = [{"sensorReport": draw(reports)}]
    if draw(st.booleans()):
        event["ilmd"] = draw(
            st.dictionaries(words.map(lambda w: "a:" + w), extension_values, min_size=1, max_size=3)
        )
    return event


def shuffled(value: Any, rng: random.Random) -> Any:
    """The same tree with keys and list elements in another order."""
    if isinstance(value, dict):
        names = list(value)
        rng.shuffle(names)
        return {name: shuffled(value[name], rng) for name in names}
    if isinstance(value, list):
        items = [shuffled(item, rng) for item in value]
        rng.shuffle(items)
        return items
    return value


@settings(max_examples=100, deadline=None)
@given(events(), st.randoms(use_true_random=False))
def test_order_is_nothing(event: dict[str, Any], rng: random.Random) -> None:
    """A list or an object whose order leaks into the hash."""
    assert event_hash(event, DOCUMENT_CONTEXT) == event_hash(shuffled(event, rng), DOCUMENT_CONTEXT)


@settings(max_examples=50, deadline=None)
@given(events())
def test_whitespace_and_json_form_are_nothing(event: dict[str, Any]) -> None:
    """A hash over text instead of meaning."""
    spaced = json.loads(json.dumps(event, indent=3, ensure_ascii=True))
    assert event_hash(spaced, DOCUMENT_CONTEXT) == event_hash(event, DOCUMENT_CONTEXT)


@settings(max_examples=50, deadline=None)
@given(events())
def test_prefix_names_are_nothing(event: dict[str, Any]) -> None:
    """Extensions told apart by prefix instead of namespace."""
    renamed = json.loads(
        json.dumps(event).replace('"a:', '"first:').replace('"b:', f'"{OTHER[:-1]}#')
    )
    context = [CONTEXT, {"first": EXT}]
    assert event_hash(renamed, context) == event_hash(event, DOCUMENT_CONTEXT)


@settings(max_examples=50, deadline=None)
@given(events())
def test_what_takes_no_part(event: dict[str, Any]) -> None:
    """A name, a record time or an error declaration that makes another event of it."""
    more = {
        **event,
        "eventID": "urn:uuid:831c0292-4de1-430a-8255-2aca821abaab",
        "recordTime": "2026-03-02T00:00:00Z",
        "rdfs:comment": "seen twice",
        "errorDeclaration": {"declarationTime": "2026-03-03T00:00:00Z", "a:why": "typo"},
    }
    assert event_hash(more, DOCUMENT_CONTEXT) == event_hash(event, DOCUMENT_CONTEXT)


LEAF_CHANGES = st.integers(0, 10**6)


@settings(max_examples=100, deadline=None)
@given(events(), LEAF_CHANGES)
def test_any_change_of_a_value_shows(event: dict[str, Any], which: int) -> None:
    """A field whose value the hash leaves out."""
    changed = copy.deepcopy(event)
    leaves: list[tuple[Any, Any]] = []

    def collect(holder: Any) -> None:
        for key in list(holder) if isinstance(holder, dict) else range(len(holder)):
            if isinstance(holder[key], dict | list):
                collect(holder[key])
            else:
                leaves.append((holder, key))

    collect(changed)
    holder, key = leaves[which % len(leaves)]
    old = holder[key]
    if isinstance(old, bool):
        holder[key] = not old
    elif isinstance(old, int | float):
        holder[key] = old + 1
    elif key == "eventTime":
        holder[key] = old.replace("08:30", "08:31")
    elif key == "eventTimeZoneOffset":
        holder[key] = "+02:00"
    else:
        holder[key] = old + "q"
    assert event_hash(changed, DOCUMENT_CONTEXT) != event_hash(event, DOCUMENT_CONTEXT)


@settings(max_examples=50, deadline=None)
@given(events(), words)
def test_any_new_extension_shows(event: dict[str, Any], name: str) -> None:
    """An extension the hash does not see."""
    more = {**event, f"a:{name}zz": "x"}
    assert event_hash(more, DOCUMENT_CONTEXT) != event_hash(event, DOCUMENT_CONTEXT)


@given(st.integers(6, 11), st.integers(0, 10**13 - 1), serials.filter(lambda s: s.strip(".")))
def test_urn_and_digital_link_are_one(length: int, digits: int, serial: str) -> None:
    """An SGTIN that hashes otherwise as a URN than as a Digital Link of any domain."""
    text = f"{digits:013d}"
    gtin = text + check_digit(text)
    company, item = text[1 : 1 + length], text[0] + text[1 + length :]
    urn = f"urn:epc:id:sgtin:{company}.{item}.{serial}"
    links = (
        f"https://id.gs1.org/01/{gtin}/21/{serial}",
        f"https://shop.example/en/products/01/{gtin}/21/{serial}?linkType=gs1:pip#top",
        f"https://id.gs1.org/01/{gtin}/10/LOT/21/{serial}",
        f"https://example.com/gtin/{gtin}/ser/{serial}",
    )
    assert {canonical_uri(link) for link in (urn, *links)} == {links[0]}


@given(
    st.datetimes(
        min_value=__import__("datetime").datetime(1970, 1, 2),
        max_value=__import__("datetime").datetime(2199, 1, 1),
    ),
    st.integers(-14 * 60, 14 * 60),
)
def test_zone_is_nothing(moment: Any, minutes: int) -> None:
    """One moment written in two zones that gives two hashes."""
    from datetime import timedelta

    sign = "+" if minutes >= 0 else "-"
    shown = (moment + timedelta(minutes=minutes)).isoformat(timespec="microseconds")
    local = f"{shown}{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
    utc = moment.isoformat(timespec="microseconds") + "Z"
    assert event_hash(object_event(eventTime=local)) == event_hash(object_event(eventTime=utc))


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("2023-01-18T11:04:03Z", "2023-01-18T11:04:03.000Z"),
        ("2023-01-18T11:04:03.1Z", "2023-01-18T11:04:03.100Z"),
        ("2023-01-18T11:04:03.1415Z", "2023-01-18T11:04:03.142Z"),
        ("2023-01-18T11:04:03.14149Z", "2023-01-18T11:04:03.141Z"),
        ("2023-12-31T23:59:59.9995Z", "2024-01-01T00:00:00.000Z"),
        ("2024-01-01T00:30:00+01:00", "2023-12-31T23:30:00.000Z"),
        ("0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00+14:00"),
    ],
)
def test_times(written: str, canonical: str) -> None:
    """Rounding at the fourth decimal place, carries, and times beyond the calendar."""
    assert f"eventTime={canonical}eventTimeZone" in pre_hash(object_event(eventTime=written))


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        (1, "1"),
        (1.0, "1"),
        (0.3434, "0.3434"),
        (100, "100"),
        (-0.0, "0"),
        (1e-7, "0.0000001"),
        (1e21, "1000000000000000000000"),
        ("23.0", "23"),
        ("0.50", "0.5"),
        ("12345678901234567890.10", "12345678901234567890.1"),
        ("1.2.3", "1.2.3"),
        ("NaN", "NaN"),
        (" padded ", "padded"),
        (True, "true"),
        ("urn:epc:id:giai:4000001.111", "https://id.gs1.org/8004/4000001111"),
        ("urn:epcglobal:cbv:disp:recalled", "https://ref.gs1.org/cbv/Disp-recalled"),
        ("gs1:Temperature", "https://ref.gs1.org/voc/Temperature"),
        ("a:own", "a:own"),
        ("https://example.com/a b", "https://example.com/a b"),
    ],
)
def test_extension_values(written: Any, canonical: str) -> None:
    """Numbers, words and identifiers in extensions, whose type nothing tells."""
    text = pre_hash(object_event(**{"a:x": written}), DOCUMENT_CONTEXT)
    assert text.endswith(f"{{{EXT}}}x={canonical}")


def test_text_values_keep_their_zeros() -> None:
    """A stringValue or hexBinaryValue read as a number."""
    report = {"type": "Temperature", "stringValue": "0010", "hexBinaryValue": "00e1"}
    text = pre_hash(object_event(sensorElementList=[{"sensorReport": [report]}]))
    assert "stringValue=0010hexBinaryValue=00e1" in text


def test_words_in_every_spelling() -> None:
    """A business step that hashes by its spelling."""
    spellings = (
        "shipping",
        "cbv:BizStep-shipping",
        "urn:epcglobal:cbv:bizstep:shipping",
        "https://ref.gs1.org/cbv/BizStep-shipping",
    )
    assert len({event_hash(object_event(bizStep=word)) for word in spellings}) == 1


def test_event_level_context_wins() -> None:
    """A prefix of the document used where the event declares its own."""
    inner = object_event(**{"@context": {"a": OTHER}, "a:x": 1})
    assert event_hash(inner, DOCUMENT_CONTEXT) == event_hash(
        object_event(**{"b:x": 1}), DOCUMENT_CONTEXT
    )


def test_inline_namespace_of_older_examples() -> None:
    """``@xmlns`` declarations inside an extension."""
    old = object_event(**{"p:x": {"@xmlns:p": EXT, "#text": "0", "p:y": "1"}})
    old_text = pre_hash(old, [CONTEXT, {"p": EXT}])
    assert old_text.endswith(f"{{{EXT}}}x=0{{{EXT}}}y=1")


def test_simple_event_is_fast() -> None:
    """A hash that costs more than the rest of a capture (about 15 us; room for slow machines)."""
    hasher = Hasher(DOCUMENT_CONTEXT)
    event = object_event()
    seconds = min(timeit.repeat(lambda: hasher.hash(event), number=500, repeat=5)) / 500
    assert seconds < 300e-6


def test_hostile_texts_do_not_stay_in_memory() -> None:
    """Caches that a document of long, ever new texts fills."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for number in range(300):
            text = f"{number}" + "x" * 100_000
            event_hash(object_event(**{"a:x": text, "a:" + text: 1}), DOCUMENT_CONTEXT)
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] - before < 5_000_000
    finally:
        tracemalloc.stop()
