"""The pre-hash string of an event: its parts in canonical order (CBV 2.0 §8.9).

The order tables at the end are the standard's; above them, how each kind of property is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from gateway.epcis.canonical_uri import canonical_uri
from gateway.epcis.hash_values import any_value, boolean, number, text_of, utc, web_term
from gateway.epcis.namespaces import Namespaces
from gateway.epcis.vocabulary import (
    BIZ_STEP,
    COMPONENT,
    DISPOSITION,
    MEASUREMENT,
    SENSOR_ALERT,
    SOURCE_DEST_TYPE,
    TRANSACTION_TYPE,
    Vocabulary,
)

Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Profile:
    """A version of the algorithm.

    inline_extensions: extensions inside a standard property follow its own fields (CBV 2.1); else
    they stand after the ilmd, below the names of the properties that hold them (CBV 2.0).
    sensor_list_name: ``sensorElementList`` itself is written (CBV 2.1).
    """

    version: str
    inline_extensions: bool
    sensor_list_name: bool


class Writer:
    """Writes the parts of one event, collecting the extensions that must stand at its end."""

    __slots__ = ("_ns", "profile")

    def __init__(self, namespaces: Namespaces, profile: Profile) -> None:
        self._ns = namespaces
        self.profile = profile

    def event(self, event: Event) -> str:
        out = ["eventType=", text_of(event.get("type", ""))]
        deferred: list[str] = []
        known = tuple([name for name in event if name in _EVENT_NAMES])
        for name, write in _in_order(known):
            value = event[name]
            if value is not None and value != []:
                out.append(write(self, name, value, deferred))
        ilmd = event.get("ilmd")
        if ilmd is not None:
            out.extend(self.extension("ilmd", ilmd))
        out.extend(deferred)
        if len(known) < len(event):
            out.append(self.extensions(event, _EVENT_NAMES))
        return "".join(out)

    # -- extensions -------------------------------------------------------------------------------

    def extensions(self, holder: Event, known: frozenset[str]) -> str:
        """All of `holder` outside `known`, sorted."""
        parts: list[str] = []
        for name, value in holder.items():
            if name not in known:
                parts.extend(self.extension(name, value))
        parts.sort()
        return "".join(parts)

    def extension(self, name: str, value: Any) -> list[str]:
        """One extension element: a string for each of its values."""
        key = self._ns.clark_name(name)
        if key is None or value is None:
            return []
        if type(value) is list:
            return [part for item in value for part in self.extension(name, item)]
        if isinstance(value, Mapping):
            scope = self._scope(value)
            text = scope.value(value["#text"]) if "#text" in value else ""
            return [key + ("=" + text if text else "") + scope.extensions(value, _TEXT)]
        text = self.value(value)
        return [key + "=" + text if text else key]

    def _scope(self, holder: Event) -> Writer:
        declared = {
            name[7:]: namespace
            for name, namespace in holder.items()
            if name.startswith("@xmlns:") and isinstance(namespace, str)
        }
        return Writer(self._ns.extended(declared), self.profile) if declared else self

    # -- values -----------------------------------------------------------------------------------

    def value(self, value: Any) -> str:
        """An extension's value, whose type no schema tells."""
        if isinstance(value, str):
            return any_value(self._ns.expand(value.strip()))
        return number(value) if not isinstance(value, bool) else boolean(value)

    def uri(self, value: Any) -> str:
        return canonical_uri(self._ns.expand(text_of(value)))

    def term(self, vocabulary: Vocabulary, value: Any) -> str:
        text = text_of(value)
        if text in vocabulary.words:
            return vocabulary.web_uri + text
        return web_term(self._ns.expand(text))

    # -- parts with an order of their own ---------------------------------------------------------

    def fields(self, order: _Order, holder: Event) -> str:
        parts: list[str] = []
        for name, render in order:
            value = holder.get(name)
            if value is not None:
                text = render(self, value)
                if text:
                    parts.append(f"{name}={text}")
        return "".join(parts)

    def item(self, part: _Part, holder: Any, deferred: list[str]) -> str:
        """One structured element; its extensions go to `deferred` where the profile says so."""
        if not isinstance(holder, Mapping):
            return ""
        text = self.fields(part.order, holder)
        if part.names.issuperset(holder):
            return text
        extra = self.extensions(holder, part.names)
        if self.profile.inline_extensions:
            return text + extra
        if extra:
            deferred.append(part.path + extra)
        return text


_Renderer = Callable[[Writer, Any], str]
_Order = tuple[tuple[str, _Renderer], ...]


@dataclass(frozen=True, slots=True)
class _Part:
    """A structured element: its fields in canonical order, and its name before extensions."""

    order: _Order
    path: str
    names: frozenset[str]


# -- renderers of fields --------------------------------------------------------------------------


def _as_text(writer: Writer, value: Any) -> str:
    return text_of(value)


def _as_time(writer: Writer, value: Any) -> str:
    return utc(text_of(value))


def _as_number(writer: Writer, value: Any) -> str:
    return number(value)


def _as_boolean(writer: Writer, value: Any) -> str:
    return boolean(value)


def _as_uri(writer: Writer, value: Any) -> str:
    return writer.uri(value)


def _as_term(vocabulary: Vocabulary) -> _Renderer:
    return lambda writer, value: writer.term(vocabulary, value)


def _part(path: str, *order: tuple[str, _Renderer], also: Iterable[str] = ()) -> _Part:
    return _Part(order, path, frozenset(name for name, _ in order) | _NOT_HASHED | frozenset(also))


_NOT_HASHED = frozenset(("@context", "comment", "rdfs:comment"))
_TEXT = frozenset(("#text", "comment", "rdfs:comment"))

_QUANTITY = _part(
    "quantityElement", ("epcClass", _as_uri), ("quantity", _as_number), ("uom", _as_text)
)
_PLACE = _part("", ("id", _as_uri))
_TRANSACTION = _part(
    "bizTransaction", ("type", _as_term(TRANSACTION_TYPE)), ("bizTransaction", _as_uri)
)
_SOURCE = _part("source", ("type", _as_term(SOURCE_DEST_TYPE)), ("source", _as_uri))
_DESTINATION = _part("destination", ("type", _as_term(SOURCE_DEST_TYPE)), ("destination", _as_uri))
_METADATA = _part(
    "sensorMetadata",
    ("time", _as_time),
    ("startTime", _as_time),
    ("endTime", _as_time),
    ("deviceID", _as_uri),
    ("deviceMetadata", _as_uri),
    ("rawData", _as_uri),
    ("dataProcessingMethod", _as_uri),
    ("bizRules", _as_uri),
)
_REPORT = _part(
    "sensorReport",
    ("type", _as_term(MEASUREMENT)),
    ("exception", _as_term(SENSOR_ALERT)),
    ("deviceID", _as_uri),
    ("deviceMetadata", _as_uri),
    ("rawData", _as_uri),
    ("dataProcessingMethod", _as_uri),
    ("time", _as_time),
    ("microorganism", _as_uri),
    ("chemicalSubstance", _as_uri),
    ("value", _as_number),
    ("component", _as_term(COMPONENT)),
    ("stringValue", _as_text),
    ("booleanValue", _as_boolean),
    ("hexBinaryValue", _as_text),
    ("uriValue", _as_uri),
    ("minValue", _as_number),
    ("maxValue", _as_number),
    ("meanValue", _as_number),
    ("sDev", _as_number),
    ("percRank", _as_number),
    ("percValue", _as_number),
    ("uom", _as_text),
    ("coordinateReferenceSystem", _as_uri),
    also=("bizRules",),  # a property of the data model that the canonical order does not name
)
_SENSOR_NAMES = frozenset(("sensorMetadata", "sensorReport")) | _NOT_HASHED


# -- writers of event properties ------------------------------------------------------------------

_EventWriter = Callable[[Writer, str, Any, list[str]], str]


def _field(render: _Renderer) -> _EventWriter:
    def write(writer: Writer, name: str, value: Any, deferred: list[str]) -> str:
        text = render(writer, value)
        return f"{name}={text}" if text else ""

    return write


def _epcs(writer: Writer, name: str, value: Any, deferred: list[str]) -> str:
    return name + "".join(sorted(["epc=" + writer.uri(epc) for epc in _list(value)]))


def _items(part: _Part, prefix: str) -> _EventWriter:
    def write(writer: Writer, name: str, value: Any, deferred: list[str]) -> str:
        outside: list[str] = []
        texts = [writer.item(part, item, outside) for item in _list(value)]
        deferred.extend([name + text for text in sorted(outside)])
        written = sorted([prefix + text for text in texts if text])
        return name + "".join(written) if written else ""

    return write


def _place(writer: Writer, name: str, value: Any, deferred: list[str]) -> str:
    outside: list[str] = []
    holder = value if isinstance(value, Mapping) else {"id": value}
    text = writer.item(_PLACE, holder, outside)
    deferred.extend([name + extra for extra in outside])
    return name + text if text else ""


def _persistent(writer: Writer, name: str, value: Any, deferred: list[str]) -> str:
    if not isinstance(value, Mapping):
        return ""
    parts = [
        text
        for key in ("set", "unset")
        for text in sorted(
            [f"{key}={writer.term(DISPOSITION, word)}" for word in _list(value.get(key, []))]
        )
    ]
    return name + "".join(parts) if parts else ""


def _sensors(writer: Writer, name: str, value: Any, deferred: list[str]) -> str:
    outside: list[str] = []
    written = sorted([_sensor(writer, item, outside) for item in _list(value)])
    title = name if writer.profile.sensor_list_name else ""
    deferred.extend([title + text for text in sorted(outside)])
    text = "".join(written)
    return title + text if text else ""


def _sensor(writer: Writer, value: Any, deferred: list[str]) -> str:
    if not isinstance(value, Mapping):
        return ""
    outside: list[str] = []
    metadata = writer.item(_METADATA, value.get("sensorMetadata"), outside)
    report_extras: list[str] = []
    reports = sorted(
        [
            "sensorReport" + text
            for text in (
                writer.item(_REPORT, report, report_extras)
                for report in _list(value.get("sensorReport", []))
            )
            if text
        ]
    )
    own = "" if _SENSOR_NAMES.issuperset(value) else writer.extensions(value, _SENSOR_NAMES)
    text = ("sensorMetadata" + metadata if metadata else "") + "".join(reports)
    if writer.profile.inline_extensions:
        text += own
    else:
        extra = "".join(outside) + "".join(sorted(report_extras)) + own
        if extra:
            deferred.append("sensorElement" + extra)
    return "sensorElement" + text if text else ""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


_EVENT_ORDER: tuple[tuple[str, _EventWriter], ...] = (
    ("eventTime", _field(_as_time)),
    ("eventTimeZoneOffset", _field(_as_text)),
    ("epcList", _epcs),
    ("parentID", _field(_as_uri)),
    ("inputEPCList", _epcs),
    ("childEPCs", _epcs),
    ("quantityList", _items(_QUANTITY, "quantityElement")),
    ("childQuantityList", _items(_QUANTITY, "quantityElement")),
    ("inputQuantityList", _items(_QUANTITY, "quantityElement")),
    ("outputEPCList", _epcs),
    ("outputQuantityList", _items(_QUANTITY, "quantityElement")),
    ("action", _field(_as_text)),
    ("transformationID", _field(_as_uri)),
    ("bizStep", _field(_as_term(BIZ_STEP))),
    ("disposition", _field(_as_term(DISPOSITION))),
    ("persistentDisposition", _persistent),
    ("readPoint", _place),
    ("bizLocation", _place),
    ("bizTransactionList", _items(_TRANSACTION, "")),
    ("sourceList", _items(_SOURCE, "")),
    ("destinationList", _items(_DESTINATION, "")),
    ("sensorElementList", _sensors),
)
"""The canonical property order of CBV 2.0 §8.9; ilmd and extensions follow."""

_EVENT_NAMES = frozenset(name for name, _ in _EVENT_ORDER) | _NOT_HASHED | {
    "type", "ilmd", "eventID", "recordTime", "errorDeclaration", "certificationInfo",
}  # fmt: skip


@lru_cache(maxsize=2048)
def _in_order(names: tuple[str, ...]) -> tuple[tuple[str, _EventWriter], ...]:
    """The writers of an event's standard properties, in canonical order."""
    present = set(names)
    return tuple((name, write) for name, write in _EVENT_ORDER if name in present)
