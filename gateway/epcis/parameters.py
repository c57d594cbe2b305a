"""Query parameters of the EPCIS 2.0 SimpleEventQuery (§8.2.7), read and typed.

A parameter arrives as text in a URL (several values joined by ``|``) or as JSON in a named
query; both become one :class:`Query`. Unknown names, wrong types and contradictions are a
QueryError that names the parameter.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chaincode.projection import cbv_name, epoch_ms
from gateway.epcis.checks import time_fault
from gateway.epcis.errors import QueryError

MAX_VALUES = 500
COMPARISONS = ("EQ", "GT", "GE", "LT", "LE")


@dataclass(frozen=True, slots=True)
class Field:
    """A condition on the payload: comparison, where to look, the name there, and the values.

    scope: event (top level extension), inner, ilmd, inner_ilmd, sensor_element, sensor_metadata,
    sensor_report, error, quantity, or a `quantity` of reports (`measure`). comparison: EQ, GT, GE,
    LT, LE or EXISTS. unit: of quantities and measures, "" for any.
    """

    parameter: str
    comparison: str
    scope: str
    name: str
    values: tuple[Any, ...] = ()
    unit: str = ""


@dataclass(slots=True)
class Query:
    """A typed query. Times are ms UTC; words are CBV short names; identifiers as given."""

    event_types: tuple[str, ...] = ()
    ranges: dict[str, int] = field(default_factory=dict)  # GE_eventTime ... in ms
    words: dict[str, tuple[str, ...]] = field(default_factory=dict)  # EQ_action, EQ_bizStep ...
    places: dict[str, tuple[str, ...]] = field(default_factory=dict)  # EQ_ and WD_
    matches: dict[str, tuple[str, ...]] = field(default_factory=dict)  # MATCH_...
    documents: list[tuple[str | None, tuple[str, ...]]] = field(default_factory=list)
    ends: list[tuple[str, str, tuple[str, ...]]] = field(default_factory=list)
    event_ids: tuple[str, ...] = ()
    exists_error: bool = False
    payload: list[Field] = field(default_factory=list)
    order_by: str = ""
    descending: bool = True
    count_limit: int | None = None
    max_count: int | None = None
    nothing: bool = False  # a condition no event here can meet

    @property
    def needs_payload(self) -> bool:
        """Whether conditions are left that only the payload can answer."""
        return bool(self.payload)


Values = Sequence[Any]
_Setter = Callable[[Query, str, Values], None]


def read_query(parameters: Mapping[str, Any]) -> Query:
    """The query of parameters (text or JSON values). Raises QueryError."""
    query = Query()
    for name, raw in parameters.items():
        values = _split(name, raw)
        setter = _FIXED.get(name)
        if setter is not None:
            setter(query, name, values)
        elif not _by_pattern(query, name, values):
            raise QueryError("QUERY_PARAMETER", f"{name[:80]!r} is no query parameter", name)
    if query.count_limit is not None and query.max_count is not None:
        raise QueryError(
            "QUERY_PARAMETER",
            "eventCountLimit and maxEventCount exclude each other",
            "maxEventCount",
        )
    if query.count_limit is not None and not query.order_by:
        raise QueryError(
            "QUERY_PARAMETER",
            "eventCountLimit needs orderBy, or it would mean nothing",
            "eventCountLimit",
        )
    return query


def _split(name: str, raw: Any) -> Values:
    if isinstance(raw, str):
        values: list[Any] = raw.split("|")
    elif isinstance(raw, list):
        values = raw
    else:
        values = [raw]
    if not values or any(value == "" for value in values):
        raise QueryError("QUERY_PARAMETER", f"{name[:80]} has an empty value", name)
    if len(values) > MAX_VALUES:
        raise QueryError("QUERY_PARAMETER", f"{name[:80]} has more than {MAX_VALUES} values", name)
    return values


# -- values ---------------------------------------------------------------------------------------


def _one(name: str, values: Values) -> Any:
    if len(values) != 1:
        raise QueryError("QUERY_PARAMETER", f"{name} takes one value", name)
    return values[0]


def _texts(name: str, values: Values) -> tuple[str, ...]:
    if not all(isinstance(value, str) for value in values):
        raise QueryError("QUERY_PARAMETER", f"{name} takes texts", name)
    return tuple(values)


def _time(name: str, value: Any) -> int:
    text = value.replace(" ", "+") if isinstance(value, str) else ""  # "+" of a URL, undone
    moment = epoch_ms(text) if not time_fault(text) else None
    if moment is None:
        raise QueryError(
            "QUERY_PARAMETER",
            f"{name} takes a time with a zone such as 2026-03-01T08:30:00.000Z",
            name,
        )
    return moment


def _integer(name: str, value: Any, least: int = 1) -> int:
    try:
        number = int(value)
    except (TypeError, ValueError):
        number = least - 1
    if isinstance(value, bool | float) or number < least:
        raise QueryError("QUERY_PARAMETER", f"{name} takes a whole number from {least}", name)
    return number


def _number(name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if isinstance(value, bool) or number != number or number in (float("inf"), float("-inf")):
        raise QueryError("QUERY_PARAMETER", f"{name} takes a number", name)
    return number


def _boolean(name: str, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise QueryError("QUERY_PARAMETER", f"{name} takes true or false", name)


# -- setters of fixed names -----------------------------------------------------------------------


def _set_types(query: Query, name: str, values: Values) -> None:
    query.event_types = _texts(name, values)


def _set_range(query: Query, name: str, values: Values) -> None:
    query.ranges[name] = _time(name, _one(name, values))


def _set_action(query: Query, name: str, values: Values) -> None:
    for value in values:
        if value not in ("ADD", "OBSERVE", "DELETE"):
            raise QueryError("QUERY_PARAMETER", f"{name} takes ADD, OBSERVE or DELETE", name)
    query.words[name] = tuple(values)


def _set_words(query: Query, name: str, values: Values) -> None:
    query.words[name] = tuple(cbv_name(text) for text in _texts(name, values))


def _set_plain(query: Query, name: str, values: Values) -> None:
    query.words[name] = _texts(name, values)


def _set_places(query: Query, name: str, values: Values) -> None:
    query.places[name] = _texts(name, values)


def _set_matches(query: Query, name: str, values: Values) -> None:
    query.matches[name] = _texts(name, values)


def _set_event_ids(query: Query, name: str, values: Values) -> None:
    query.event_ids = _texts(name, values)


def _set_exists_error(query: Query, name: str, values: Values) -> None:
    query.exists_error = _boolean(name, _one(name, values))


def _set_persistent(query: Query, name: str, values: Values) -> None:
    words = tuple(cbv_name(text) for text in _texts(name, values))
    query.payload.append(Field(name, "EQ", "persistent", name.rpartition("_")[2], words))


def _set_corrective(query: Query, name: str, values: Values) -> None:
    query.payload.append(Field(name, "EQ", "corrective", "", _texts(name, values)))


def _set_sensor(query: Query, name: str, values: Values) -> None:
    local = name.partition("_")[2]
    typed: tuple[Any, ...] = (
        tuple(_boolean(name, value) for value in values)
        if local == "booleanValue"
        else _texts(name, values)
    )
    query.payload.append(Field(name, "EQ", "sensor", local, typed))


def _set_sensor_time(query: Query, name: str, values: Values) -> None:
    comparison, _, local = name.partition("_")
    moment = _time(name, _one(name, values))
    query.payload.append(Field(name, comparison, "sensor_time", local, (moment,)))


def _set_order(query: Query, name: str, values: Values) -> None:
    value = _one(name, values)
    if value not in ("eventTime", "recordTime"):
        raise QueryError(
            "QUERY_PARAMETER", "orderBy takes eventTime or recordTime in this repository", name
        )
    query.order_by = value


def _set_direction(query: Query, name: str, values: Values) -> None:
    value = _one(name, values)
    if value not in ("ASC", "DESC"):
        raise QueryError("QUERY_PARAMETER", "orderDirection takes ASC or DESC", name)
    query.descending = value == "DESC"


def _set_count_limit(query: Query, name: str, values: Values) -> None:
    query.count_limit = _integer(name, _one(name, values))


def _set_max_count(query: Query, name: str, values: Values) -> None:
    query.max_count = _integer(name, _one(name, values))


_FIXED: dict[str, _Setter] = {
    "eventType": _set_types,
    "eventTypes": _set_types,
    **dict.fromkeys(
        (
            *("GE_eventTime", "LT_eventTime", "GE_recordTime", "LT_recordTime"),
            *("GE_errorDeclarationTime", "LT_errorDeclarationTime"),
        ),
        _set_range,
    ),
    "EQ_action": _set_action,
    **dict.fromkeys(("EQ_bizStep", "EQ_disposition", "EQ_errorReason"), _set_words),
    "EQ_transformationID": _set_plain,
    **dict.fromkeys(
        ("EQ_readPoint", "WD_readPoint", "EQ_bizLocation", "WD_bizLocation"), _set_places
    ),
    **dict.fromkeys(
        (
            *("MATCH_epc", "MATCH_parentID", "MATCH_inputEPC", "MATCH_outputEPC", "MATCH_anyEPC"),
            *("MATCH_epcClass", "MATCH_inputEPCClass", "MATCH_outputEPCClass"),
            "MATCH_anyEPCClass",
        ),
        _set_matches,
    ),
    "EQ_eventID": _set_event_ids,
    "EXISTS_errorDeclaration": _set_exists_error,
    **dict.fromkeys(
        ("EQ_persistentDisposition_set", "EQ_persistentDisposition_unset"), _set_persistent
    ),
    "EQ_correctiveEventID": _set_corrective,
    **dict.fromkeys(
        (
            *("EQ_type", "EQ_exception", "EQ_deviceID", "EQ_dataProcessingMethod"),
            *("EQ_microorganism", "EQ_chemicalSubstance", "EQ_bizRules", "EQ_stringValue"),
            *("EQ_hexBinaryValue", "EQ_uriValue", "EQ_booleanValue", "EQ_component"),
        ),
        _set_sensor,
    ),
    **dict.fromkeys(
        (
            *("GE_startTime", "LT_startTime", "GE_endTime", "LT_endTime"),
            *("GE_time", "LT_time"),
        ),
        _set_sensor_time,
    ),
    "orderBy": _set_order,
    "orderDirection": _set_direction,
    "eventCountLimit": _set_count_limit,
    "maxEventCount": _set_max_count,
}

# -- names with a variable part -------------------------------------------------------------------

_QUANTITY = re.compile(r"(EQ|GT|GE|LT|LE)_quantity(?:_([A-Z0-9]{2,3}))?")
_MEASURE = re.compile(
    r"(EQ|GT|GE|LT|LE)_(value|minValue|maxValue|meanValue|sDev|percRank|percValue)"
    r"(?:_([A-Z0-9]{2,3}))?"
)
_SCOPES = (
    ("INNER_ILMD_", "inner_ilmd"),
    ("ILMD_", "ilmd"),
    ("INNER_ERROR_DECLARATION_", "inner_error"),
    ("ERROR_DECLARATION_", "error"),
    ("INNER_SENSORELEMENT_", "inner_sensor_element"),
    ("INNER_SENSORMETADATA_", "inner_sensor_metadata"),
    ("INNER_SENSORREPORT_", "inner_sensor_report"),
    ("SENSORELEMENT_", "sensor_element"),
    ("SENSORMETADATA_", "sensor_metadata"),
    ("SENSORREPORT_", "sensor_report"),
    ("INNER_", "inner"),
)
_STANDARD_FIELDS = frozenset(
    (
        *("epcList", "childEPCs", "inputEPCList", "outputEPCList", "parentID", "action"),
        *("quantityList", "childQuantityList", "inputQuantityList", "outputQuantityList"),
        *("bizStep", "disposition", "readPoint", "bizLocation", "bizTransactionList"),
        *("sourceList", "destinationList", "transformationID", "persistentDisposition"),
        *("sensorElementList", "ilmd", "eventID", "certificationInfo"),
    )
)


def _by_pattern(query: Query, name: str, values: Values) -> bool:
    if match := _QUANTITY.fullmatch(name):
        number = _number(name, _one(name, values))
        query.payload.append(
            Field(name, match[1], "quantity", "quantity", (number,), match[2] or "")
        )
        return True
    if match := _MEASURE.fullmatch(name):
        number = _number(name, _one(name, values))
        query.payload.append(Field(name, match[1], "measure", match[2], (number,), match[3] or ""))
        return True
    if name.startswith("EQ_bizTransaction"):
        rest = name[len("EQ_bizTransaction") :]
        if rest and not rest.startswith("_"):
            return False
        kind = cbv_name(rest[1:]) if rest else None
        query.documents.append((kind, _texts(name, values)))
        return True
    for prefix, direction in (("EQ_source_", "from"), ("EQ_destination_", "to")):
        if name.startswith(prefix) and len(name) > len(prefix):
            query.ends.append((direction, cbv_name(name[len(prefix) :]), _texts(name, values)))
            return True
    if name.startswith(("HASATTR_", "EQATTR_")):
        # Attributes of master data: none is kept here, so nothing can have one.
        query.nothing = True
        return True
    comparison, _, rest = name.partition("_")
    if comparison not in (*COMPARISONS, "EXISTS") or not rest:
        return False
    return _extension(query, name, comparison, rest, values)


def _extension(query: Query, name: str, comparison: str, rest: str, values: Values) -> bool:
    scope, local = "event", rest
    for prefix, found in _SCOPES:
        if rest.startswith(prefix):
            scope, local = found, rest[len(prefix) :]
            break
    if not local:
        return False
    if comparison == "EXISTS":
        if ":" not in local and local not in _STANDARD_FIELDS:
            return False
        if _boolean(name, _one(name, values)):
            query.payload.append(Field(name, "EXISTS", scope, local))
        return True
    if ":" not in local:
        return False
    wanted = tuple(values) if comparison == "EQ" else (_one(name, values),)
    query.payload.append(Field(name, comparison, scope, local, wanted))
    return True
