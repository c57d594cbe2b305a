"""Validation of sensor elements (EPCIS 2.0 §7.3.7, CBV 2.0 §7)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gateway.epcis.checks import Checker
from gateway.epcis.vocabulary import (
    COMPONENT,
    MEASUREMENT,
    SENSOR_ALERT,
    SENSOR_METADATA,
    SENSOR_REPORT,
    UNITS,
)

_ELEMENT = frozenset(("sensorMetadata", "sensorReport"))
_TIMES = ("time", "startTime", "endTime")
_URIS = (
    "deviceID",
    "deviceMetadata",
    "rawData",
    "dataProcessingMethod",
    "bizRules",
    "microorganism",
    "chemicalSubstance",
    "coordinateReferenceSystem",
    "uriValue",
)
_NUMBERS = ("value", "minValue", "maxValue", "meanValue", "sDev", "percRank", "percValue")
_HEX = re.compile(r"[0-9A-Fa-f]+", re.ASCII)


def check_sensors(check: Checker, value: Any, pointer: str) -> None:
    """Append the faults of a sensorElementList to the checker's findings."""
    for index, item in enumerate(check.items(value, pointer)):
        where = f"{pointer}/{index}"
        element = check.mapping(item, where)
        if element is None:
            continue
        if "sensorMetadata" in element:
            _metadata(check, element["sensorMetadata"], where + "/sensorMetadata")
        if "sensorReport" not in element:
            check.add(where + "/sensorReport", "MISSING", "sensorReport is missing")
        else:
            base = where + "/sensorReport"
            for position, report in enumerate(
                check.items(element["sensorReport"], base, nonempty=True)
            ):
                _report(check, report, f"{base}/{position}")
        if not _ELEMENT.issuperset(element):
            check.extensions(element, _ELEMENT, where)


def _metadata(check: Checker, value: Any, pointer: str) -> None:
    metadata = check.mapping(value, pointer)
    if metadata is None:
        return
    _common(check, metadata, pointer)
    if not SENSOR_METADATA.issuperset(metadata):
        check.extensions(metadata, SENSOR_METADATA, pointer)


def _report(check: Checker, value: Any, pointer: str) -> None:
    report = check.mapping(value, pointer)
    if report is None:
        return
    _common(check, report, pointer)
    kind = report.get("type")
    if kind is not None:
        check.term(MEASUREMENT, kind, pointer + "/type")
    if "exception" in report:
        check.term(SENSOR_ALERT, report["exception"], pointer + "/exception")
    if kind is None and "exception" not in report:
        check.add(pointer + "/type", "MISSING", "type or exception is missing")
    if "component" in report:
        check.term(COMPONENT, report["component"], pointer + "/component")
    for name in _NUMBERS:
        if name in report:
            check.number(report[name], f"{pointer}/{name}")
    _values(check, report, pointer)
    _unit(check, report, kind, pointer)
    if not SENSOR_REPORT.issuperset(report):
        check.extensions(report, SENSOR_REPORT, pointer)


def _common(check: Checker, holder: Mapping[str, Any], pointer: str) -> None:
    for name in _TIMES:
        if name in holder:
            check.time(holder, name, pointer)
    for name in _URIS:
        if name in holder:
            check.uri(holder, name, pointer)


def _values(check: Checker, report: Mapping[str, Any], pointer: str) -> None:
    if "stringValue" in report and not isinstance(report["stringValue"], str):
        check.add(pointer + "/stringValue", "WRONG_TYPE", "a text is expected")
    if "booleanValue" in report and not isinstance(report["booleanValue"], bool):
        check.add(pointer + "/booleanValue", "WRONG_TYPE", "true or false is expected")
    digits = report.get("hexBinaryValue")
    if digits is not None and not (isinstance(digits, str) and _HEX.fullmatch(digits)):
        check.add(pointer + "/hexBinaryValue", "BAD_VALUE", "hexadecimal digits are expected")


def _unit(check: Checker, report: Mapping[str, Any], kind: Any, pointer: str) -> None:
    if "uom" not in report:
        return
    unit = report["uom"]
    check.unit(unit, pointer + "/uom")
    known = UNITS.get(kind) if isinstance(kind, str) else None
    if known is not None and isinstance(unit, str) and unit not in known:
        check.add(
            pointer + "/uom",
            "UNIT_MISMATCH",
            f"{unit[:10]} is no unit of {kind}; {', '.join(sorted(known))} is accepted",
        )
