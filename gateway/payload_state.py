"""Whether the payloads of events are there, without reading (and so without logging) any."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nodes.payloads import PayloadErased, PayloadError, PayloadUnknown

if TYPE_CHECKING:
    from nodes.embedded import EmbeddedNetwork

AVAILABLE = "available"
ERASED = "erased"
MISSING = "missing"
UNREACHABLE = "unreachable"


def payload_states(network: EmbeddedNetwork | None, wanted: Sequence[tuple[str, str]]) -> list[str]:
    """The state of each (MSP id, commitment) pair at the node that keeps it.

    Only nodes in this process are asked; a payload elsewhere is "unreachable" until it is read.
    """
    return [_state(network, msp_id, commitment) for msp_id, commitment in wanted]


def _state(network: EmbeddedNetwork | None, msp_id: str, commitment: str) -> str:
    if network is None or msp_id not in network.nodes:
        return UNREACHABLE
    try:
        network.node(msp_id).payloads.describe(commitment)
    except PayloadErased:
        return ERASED
    except PayloadUnknown:
        return MISSING
    except PayloadError:
        return UNREACHABLE
    return AVAILABLE
