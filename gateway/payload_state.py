"""Whether the payloads of events are there, without reading (and so without logging) any."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.ledger.port import SigningIdentity
from gateway.payloads import PayloadPort
from nodes.payloads import PayloadError, PayloadState

UNREACHABLE = "unreachable"
_NAMES = {
    PayloadState.PRESENT: "available",
    PayloadState.ERASED: "erased",
    PayloadState.MISSING: "missing",
}


def payload_states(
    port: PayloadPort,
    wanted: Sequence[tuple[str, str]],
    *,
    signer: SigningIdentity | None = None,
) -> list[str]:
    """The state of each (MSP id, commitment) pair at the node that keeps it.

    Each node is asked once; a node that does not answer makes its payloads "unreachable".
    """
    by_holder: dict[str, list[str]] = {}
    for msp_id, commitment in wanted:
        by_holder.setdefault(msp_id, []).append(commitment)
    told = port.states(by_holder, signer=signer)
    answers = {
        msp_id: iter([UNREACHABLE] * len(commitments) if isinstance(states, PayloadError)
                     else [_NAMES[state] for state in states])
        for (msp_id, commitments), states in zip(by_holder.items(), told, strict=True)
    }  # fmt: skip
    return [next(answers[msp_id]) for msp_id, _ in wanted]
