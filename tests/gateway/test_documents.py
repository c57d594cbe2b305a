"""The reference pages say what the code does: every setting, route, and error code."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import grpc
import pytest
from pydantic import ValidationError
from sqlalchemy.exc import IntegrityError, OperationalError

from chaincode.errors import CODES, BatchRefusal, Refusal
from gateway.app import create_app
from gateway.errors import (
    DatabaseUnavailable,
    NotReady,
    Problem,
    add_problem_types,
    all_problem_types,
    problem_type,
    to_problem,
)
from gateway.ledger.errors import (
    CommitError,
    CommitStatusError,
    EndorseError,
    ErrorDetail,
    EvaluateError,
    SubmitError,
    TransportError,
)
from gateway.problem_types import _CONTRACT_STATUS
from gateway.settings import Settings
from nodes.errors import IdentityRefused
from tests.gateway.running import Gateway

OWN_ROUTES = ("/v1/", "/healthz", "/readyz", "/metrics", "/problems")
OTHER_PAGES = r"/v1/(certificate|verify|verif|status)"
"""Routes below /v1 that other pages describe."""

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


def table(page: str, first: str) -> dict[str, list[str]]:
    """Rows of the table whose head begins with `first`: first cell (unquoted) to the others."""
    rows: dict[str, list[str]] = {}
    inside = False
    for line in (REFERENCE / page).read_text().splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
        if line.startswith(f"| {first} |"):
            inside = True
        elif inside and not line.startswith("|"):
            inside = False
        elif inside and not line.startswith("|---"):
            rows[cells[0].strip("`")] = cells[1:]
    return rows


def test_every_setting_is_documented_with_its_default() -> None:
    documented = table("settings.md", "variable")
    fields = Settings.model_fields
    assert set(documented) == {f"TRACEMARK_{name.upper()}" for name in fields}
    for name, field in fields.items():
        default, meaning = documented[f"TRACEMARK_{name.upper()}"]
        shown = field.default
        text = "" if shown in (None, "", ()) else str(shown).lower() if isinstance(
            shown, bool
        ) else str(shown)  # fmt: skip
        assert default.strip("`") == text, f"default of {name}"
        assert meaning == field.description, f"meaning of {name}"


def test_every_problem_code_is_documented() -> None:
    create_app(Settings())  # imports every module that adds rows
    documented = table("http.md", "code")
    known = all_problem_types()
    assert set(documented) == set(known)
    for code, row in known.items():
        assert documented[code] == [str(row.status), row.meaning], code


def test_every_route_is_documented() -> None:
    text = (REFERENCE / "http.md").read_text()
    documented = set(re.findall(r"^\| `([A-Z]+) (/[^ `]*)` \|", text, re.MULTILINE))
    served = {
        (method.upper(), path)
        for path, methods in create_app(Settings()).openapi()["paths"].items()
        for method in methods
        if path.startswith(OWN_ROUTES) and not re.match(OTHER_PAGES, path)
    } | {("GET", "/metrics")}
    assert documented == served


def test_every_route_of_this_api_has_a_summary() -> None:
    for path, methods in create_app(Settings()).openapi()["paths"].items():
        for method, operation in methods.items():
            assert operation.get("summary"), f"{method} {path}"
            assert operation.get("tags"), f"{method} {path}"


def test_every_operation_has_an_id_of_its_own() -> None:
    """A client generated from the description that lacks one of two methods named alike."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        paths = create_app(Settings()).openapi()["paths"]
    ids = [operation["operationId"] for methods in paths.values() for operation in methods.values()]
    assert len(ids) == len(set(ids))


def test_statuses_are_given_to_codes_that_exist() -> None:
    """A code the contract renamed, whose answers then fall back to 422."""
    listed = {code for codes in _CONTRACT_STATUS.values() for code in codes}
    assert listed <= set(CODES)
    assert problem_type("HASH_CONFLICT").status == 409


def test_every_refusal_code_of_the_contract_is_a_problem(gateway: Gateway) -> None:
    listed = {row["code"]: row for row in gateway.client().get("/problems").json()}
    for code in CODES:
        assert 400 <= listed[code]["status"] < 500
        page = gateway.client().get(f"/problems/{code}")
        assert page.status_code == 200
        assert code in page.text
    told = gateway.client().get("/problems/NOT_HOLDER", headers={"Accept": "application/json"})
    assert told.json()["meaning"] == CODES["NOT_HOLDER"]
    assert gateway.client().get("/problems/NO_SUCH").status_code == 404


def transport(status: grpc.StatusCode, message: str = "m", *details: str) -> TransportError:
    return TransportError(status, message, [ErrorDetail("h:1", "M", text) for text in details])


REFUSAL = 'chaincode response 500, {"code":"NOT_HOLDER","message":"Not yours.","where":"/epcs/0"}'


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (EndorseError(transport(grpc.StatusCode.ABORTED, "x", REFUSAL), "t"), "NOT_HOLDER", 422),
        (EvaluateError(transport(grpc.StatusCode.UNAVAILABLE), "t"), "LEDGER_UNAVAILABLE", 503),
        (EndorseError(transport(grpc.StatusCode.ABORTED), "t"), "ENDORSEMENT_FAILED", 502),
        (
            EndorseError(transport(grpc.StatusCode.PERMISSION_DENIED), "t"),
            "CERTIFICATE_INVALID",
            401,
        ),
        (SubmitError(transport(grpc.StatusCode.UNAVAILABLE), "t"), "COMMIT_UNKNOWN", 504),
        (SubmitError(transport(grpc.StatusCode.INVALID_ARGUMENT), "t"), "SUBMIT_FAILED", 502),
        (CommitStatusError(transport(grpc.StatusCode.CANCELLED), "t"), "COMMIT_UNKNOWN", 504),
        (CommitError("t", 11, 5), "COMMIT_CONFLICT", 409),
        (CommitError("t", 10, 5), "COMMIT_INVALID", 409),
        (Refusal("BAD_CHECK_DIGIT", "wrong", "/id"), "BAD_CHECK_DIGIT", 400),
        (
            BatchRefusal([{"index": 3, "code": "NOT_ENOUGH", "message": "m", "where": ""}]),
            "NOT_ENOUGH",
            422,
        ),
        (IdentityRefused("revoked"), "CERTIFICATE_INVALID", 401),
        (DatabaseUnavailable("away"), "DATABASE_UNAVAILABLE", 503),
        (OperationalError("s", {}, Exception("gone")), "DATABASE_UNAVAILABLE", 503),
        (IntegrityError("s", {}, Exception("secret")), "INTERNAL", 500),
        (NotReady("starting"), "NOT_READY", 503),
        (RuntimeError("secret"), "INTERNAL", 500),
        (Problem("GONE", "was here"), "GONE", 410),
    ],
)
def test_every_package_s_errors_read_as_problems(error: Exception, code: str, status: int) -> None:
    problem = to_problem(error)
    assert (problem.code, problem.status) == (code, status)
    assert "secret" not in str(problem.body())


def test_a_refusal_keeps_its_place_and_its_parts() -> None:
    body = to_problem(EndorseError(transport(grpc.StatusCode.ABORTED, "x", REFUSAL), "tx1")).body()
    assert body["where"] == "/epcs/0"
    assert body["tx_id"] == "tx1"
    assert body["detail"] == "Not yours."
    newer = problem_type("CODE_OF_A_NEWER_CONTRACT")
    assert newer.status == 422


def test_a_code_means_one_thing() -> None:
    with pytest.raises(ValueError, match="already defined"):
        add_problem_types(("NOT_FOUND", 410, "x", "y"))
    row = problem_type("NOT_FOUND")
    add_problem_types((row.code, row.status, row.title, row.meaning))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"ledger": "http://x:1"}, "grpc://host:port"),
        ({"ledger": "grpc://x"}, "grpc://host:port"),
        ({"tls_certificate": Path("x")}, "go together"),
        ({"trusted_proxies": "not a network"}, "trusted_proxies"),
        ({"port": 70_000}, "port"),
        ({"grpc_listen": "everything"}, "host:port"),
        ({"grpc_listen": "localhost:port"}, "host:port"),
        ({"grpc_host": "0.0.0.0"}, "grpc_listen=all"),
        ({"orphans_grace_h": 0.5}, "orphans_grace_h"),
        ({"max_body_bytes": 1}, "max_body_bytes"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Settings(**values)


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACEMARK_TRUSTED_PROXIES", "10.0.0.0/8, 192.168.0.0/16")
    monkeypatch.setenv("TRACEMARK_LEDGER", "grpc://peer.example:7051")
    monkeypatch.setenv("TRACEMARK_HOST", "::1")
    monkeypatch.setenv("TRACEMARK_API_KEY", "not a setting of the gateway")
    settings = Settings()
    assert settings.trusted_proxies == ("10.0.0.0/8", "192.168.0.0/16")
    assert settings.ledger == "grpc://peer.example:7051"
    assert settings.base_url == "http://[::1]:8000"
