"""The reference page says what the code does."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import gateway.epcis.errors  # noqa: F401 - registers its problems
from gateway.epcis.capture import BATCH_EVENTS, ROLLBACK_EVENTS
from gateway.epcis.document import MAX_DEPTH, MAX_EVENTS
from gateway.epcis.negotiation import DEFAULT_PER_PAGE, MAX_PER_PAGE
from gateway.epcis.parameters import _FIXED
from tests.epcis.conftest import ROOT

PAGE = (ROOT / "docs" / "reference" / "epcis.md").read_text()
CODE = re.compile(r"[A-Z][A-Z]+(?:_[A-Z]+)+|MISSING|DUPLICATE|EMPTY")


def texts(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def test_codes_are_documented() -> None:
    """A code a caller meets and finds nowhere."""
    found: set[str] = set()
    for name in ("validate", "event_rules", "checks", "sensors", "document", "errors", "capture"):
        path = ROOT / "gateway" / "epcis" / f"{name}.py"
        found |= {text for text in texts(path) if CODE.fullmatch(text)}
    found -= {"CALLER_UNKNOWN", "TOO_LARGE"}  # the contract's
    assert {code for code in found if f"`{code}`" not in PAGE} == set()


def test_parameters_are_documented() -> None:
    """A query parameter nobody knows of."""
    page = PAGE.replace("`GE_`", "").replace("`LT_`", "")
    missing = []
    for name in _FIXED:
        comparison, _, field = name.partition("_")
        known = field if comparison in ("GE", "LT") else name
        if f"`{known}`" not in page and name != "eventTypes":
            missing.append(name)
    assert missing == []


def test_limits_are_documented() -> None:
    """A limit that was changed in one place."""
    for number in (ROLLBACK_EVENTS, BATCH_EVENTS, MAX_EVENTS, MAX_PER_PAGE):
        assert f"{number:,}" in PAGE
    assert f"{MAX_DEPTH} levels" in PAGE
    assert f"`perPage` ({DEFAULT_PER_PAGE}," in PAGE
