"""Collect payloads whose event never reached the chain, while the gateway holds the network.

A payload is stored before its event is proposed, so every refused or abandoned event leaves one
behind (:mod:`nodes.payloads.orphans`). A thread deletes those older than the grace time; each
deletion is in the node's read log, and the counts are in the gateway's.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from nodes.payloads import PayloadError

if TYPE_CHECKING:
    from nodes.embedded import EmbeddedNetwork

FIRST_S = 60.0
"""Longest wait before the first pass, so that a gateway restarted often still collects."""

log = logging.getLogger(__name__)


class OrphanCollector:
    """Deletes orphans of every node in this process, again and again until closed."""

    def __init__(self, network: EmbeddedNetwork, every_s: float, grace_h: float) -> None:
        """every_s: seconds between passes. grace_h: hours a payload may wait for its event."""
        self._network = network
        self._every_s = every_s
        self._grace_ms = int(grace_h * 3_600_000)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="orphans", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """Stop after the store under way; returns when the thread has ended."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def collect(self) -> dict[str, int]:
        """One pass over every node now; the number deleted by MSP id.

        A store that cannot be used is logged and tried again at the next pass.
        """
        found: dict[str, int] = {}
        for msp_id, node in list(self._network.nodes.items()):
            if self._stop.is_set():
                break
            try:
                found[msp_id] = len(node.payloads.collect_orphans(self._grace_ms))
            except PayloadError as error:
                log.warning("orphans not collected", extra={"msp": msp_id, "reason": str(error)})
                continue
            if found[msp_id]:
                log.info("orphans collected", extra={"msp": msp_id, "count": found[msp_id]})
        return found

    def _run(self) -> None:
        wait_s = min(FIRST_S, self._every_s)
        while not self._stop.wait(wait_s):
            try:
                self.collect()
            except Exception:  # the next pass may succeed; the gateway serves on
                log.exception("collecting orphans failed")
            wait_s = self._every_s
