"""One call of a contract function for a caller: sign, commit, and be readable afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.auth import Caller
from gateway.container import Container

VISIBLE_WITHIN_S = 5.0


def transact(
    container: Container, caller: Caller, function: str, argument: Mapping[str, Any]
) -> dict[str, Any]:
    """Commit `function` as `caller` and wait until the read model shows it.

    Absent arguments (None) are left out. Returns the contract's result with ``tx_id`` and
    ``block``. The wait for the read model is bounded: a gateway whose database is away still
    answers for what is on the ledger, with ``"visible": false``.

    :raises Problem: KEY_NOT_HELD. :raises gateway.ledger.errors.LedgerError: by stage.
    """
    signer = caller.require_signer()
    sent = {name: value for name, value in argument.items() if value is not None}
    done = container.ledger.submit_and_wait(signer, function, sent)
    visible = container.readmodel.wait_for(done.block_number + 1, VISIBLE_WITHIN_S)
    answer = {"result": done.result, "tx_id": done.tx_id, "block": done.block_number}
    return answer if visible else {**answer, "visible": False}
