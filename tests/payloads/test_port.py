"""The gateway's port: where payloads are, and what their errors become over HTTP."""

from __future__ import annotations

import pytest

from gateway.errors import to_problem
from gateway.payloads import LocalPayloads
from nodes.payloads import (
    Decision,
    ErasureReceipt,
    LegalBasisMissing,
    PayloadConflict,
    PayloadCorrupted,
    PayloadErased,
    PayloadError,
    PayloadInvalid,
    PayloadRefused,
    PayloadStore,
    PayloadUnknown,
    Reader,
    StoreUnavailable,
)
from nodes.payloads.errors import RemoteError
from tests.payloads.conftest import FARM, new_payload

RECEIPT = ErasureReceipt("ab" * 32, "cd" * 32, FARM, 1, 2, "mistake", FARM, "FarmMSP", "", b"x")
NO = Decision(False, "NO_RELATION", "no relation was found")


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (PayloadUnknown.of("ab" * 32), 404, "PAYLOAD_MISSING"),
        (PayloadErased("ab" * 32, RECEIPT), 410, "PAYLOAD_ERASED"),
        (PayloadRefused("ab" * 32, NO), 403, "PAYLOAD_DENIED"),
        (LegalBasisMissing("ab" * 32, NO), 403, "PAYLOAD_DENIED"),
        (PayloadCorrupted("x"), 502, "PAYLOAD_MISMATCH"),
        (PayloadConflict("x"), 409, "CONFLICT"),
        (PayloadInvalid("x"), 422, "VALIDATION"),
        (StoreUnavailable("x"), 503, "LEDGER_UNAVAILABLE"),
        (RemoteError("x"), 502, "PAYLOAD_MISSING"),
    ],
)
def test_each_error_has_its_answer(error: PayloadError, status: int, code: str) -> None:
    """A refusal told as "not found", or a damaged payload as an internal error, misleads."""
    problem = to_problem(error)
    assert (problem.status, problem.code) == (status, code)
    assert problem.detail == error.message


def test_answers_carry_what_helps() -> None:
    """A refused reader learns the rule; a reader of erased data gets the receipt."""
    assert to_problem(PayloadRefused("", NO)).body()["rule"] == "NO_RELATION"
    body = to_problem(PayloadErased("ab" * 32, RECEIPT)).body()
    assert ErasureReceipt.from_json(body["receipt"]) == RECEIPT


def test_local_payloads(store: PayloadStore) -> None:
    """Every call reaches the store of the organisation it names, and no other."""
    port = LocalPayloads({"FarmMSP": store}.__getitem__)
    owner = Reader(FARM, "FarmMSP")
    new = new_payload(residency="confidential")
    (commitment,) = port.put_many("FarmMSP", [new])
    assert port.get("FarmMSP", commitment, owner).payload == new.payload
    assert port.get_many("FarmMSP", [commitment], owner)[0] == port.get(
        "FarmMSP", commitment, owner
    )
    assert port.receipt("FarmMSP", commitment) is None
    assert len(port.reads("FarmMSP", commitment, owner, start=1)) == 2
    assert len(port.reads("FarmMSP", None, owner, limit=1)) == 1
    receipt = port.erase("FarmMSP", commitment, owner, "court-order")
    assert port.receipt("FarmMSP", commitment) == receipt
    with pytest.raises(PayloadUnknown, match="MillMSP"):
        port.get("MillMSP", commitment, owner)
