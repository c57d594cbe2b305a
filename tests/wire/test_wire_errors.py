"""Error details survive the wire: they fit, they parse, and refusals stay refusals."""

from __future__ import annotations

import json

import grpc
from fabric_protos.gateway import gateway_pb2
from google.rpc import status_pb2
from hypothesis import given
from hypothesis import strategies as st

from gateway.ledger.errors import (
    CommitError,
    EndorseError,
    ErrorDetail,
    TransportError,
    parse_refusal,
)
from nodes.errors import GatewayError
from nodes.grpc_answers import TRAILER_BYTES, status_details

TEXT = st.text(max_size=200)


@given(code=st.text(min_size=1, max_size=40), message=TEXT, where=TEXT)
def test_any_refusal_is_read_back(code: str, message: str, where: str) -> None:
    """Catches a decoder that stumbles over braces, quotes or foreign letters in a sentence."""
    told = json.dumps({"code": code, "message": message, "where": where}, ensure_ascii=False)
    refusal = parse_refusal(f"chaincode response 500, {told}")
    assert refusal is not None
    assert (refusal.code, refusal.message, refusal.where) == (code, message, where)


@given(st.text())
def test_no_text_breaks_the_decoder(text: str) -> None:
    """Catches an exception of the decoder that hides the error it was to explain."""
    parse_refusal(text)
    parse_refusal("{" + text + "}")


def test_refused_elements_are_listed() -> None:
    """Catches per-event refusals that do not reach the caller."""
    item = {"index": 3, "code": "NOT_HOLDER", "message": "no", "where": "/events/3"}
    refusal = {"code": "NOT_HOLDER", "message": "no", "where": "/events/3", "errors": [item]}
    detail = ErrorDetail(
        "localhost:7051", "FarmMSP", "chaincode response 500, " + json.dumps(refusal)
    )
    error = EndorseError(TransportError(grpc.StatusCode.ABORTED, "failed", [detail]), "ab")
    (told,) = error.errors
    assert (told.index, told.code, told.where) == (3, "NOT_HOLDER", "/events/3")
    assert str(error) == "NOT_HOLDER: no"


@given(
    messages=st.lists(st.text(max_size=30_000), max_size=5),
    message=st.text(max_size=5_000),
)
def test_details_fit_the_trailer(messages: list[str], message: str) -> None:
    """Catches trailers that clients drop, so that an error arrives without its reason."""
    details = [
        gateway_pb2.ErrorDetail(address="localhost:7051", msp_id="FarmMSP", message=text)
        for text in messages
    ]
    packed = status_details(GatewayError(grpc.StatusCode.ABORTED, message, details))
    assert len(packed) <= TRAILER_BYTES
    status = status_pb2.Status.FromString(packed)
    assert status.code == grpc.StatusCode.ABORTED.value[0]
    assert len(status.details) == len(details)


def test_long_refusal_keeps_its_code_and_says_what_is_missing() -> None:
    """Catches a document of a thousand bad events whose refusal is cut inside its JSON."""
    items = [
        {"index": i, "code": "NOT_HOLDER", "message": "not yours " * 8, "where": f"/events/{i}"}
        for i in range(1000)
    ]
    told = json.dumps({"code": "NOT_HOLDER", "message": "no", "where": "", "errors": items})
    detail = gateway_pb2.ErrorDetail(
        address="localhost:7051", msp_id="FarmMSP", message=f"chaincode response 500, {told}"
    )
    packed = status_details(GatewayError(grpc.StatusCode.ABORTED, "failed", [detail]))
    assert len(packed) <= TRAILER_BYTES
    arrived = gateway_pb2.ErrorDetail()
    assert status_pb2.Status.FromString(packed).details[0].Unpack(arrived)
    refusal = parse_refusal(arrived.message)
    assert refusal is not None
    assert refusal.code == "NOT_HOLDER"
    assert len(refusal.errors) >= 1
    assert len(refusal.errors) + refusal.omitted == 1000


def test_commit_error_names_the_code() -> None:
    """Catches an invalid transaction reported by a bare number."""
    error = CommitError("ab" * 32, 11, 7)
    assert error.code_name == "MVCC_READ_CONFLICT"
    assert "MVCC_READ_CONFLICT" in str(error)
    assert error.is_conflict
    assert not CommitError("ab" * 32, 10, 7).is_conflict
