"""The embedded network: every organisation's node and the sequencer in one process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from nodes.service import GatewayService


class EmbeddedNetwork:
    """All nodes of a home; opened once at a time (lock file). Signatures only, for now."""

    service: GatewayService

    @classmethod
    def open(cls, home: Path, handlers: Mapping[str, Any] | None = None) -> EmbeddedNetwork:
        """Open a home; `handlers` maps chaincode names to invoke functions."""
        raise NotImplementedError

    @property
    def height(self) -> int:
        """Number of blocks that every running node has committed."""
        raise NotImplementedError

    def subscribe_blocks(self, callback: Callable[[int], None]) -> Callable[[], None]:
        """Call `callback(height)` after each block; returns the unsubscribe function."""
        raise NotImplementedError

    def close(self) -> None:
        """Finish the block at hand and close the stores."""
        raise NotImplementedError

    def __enter__(self) -> EmbeddedNetwork:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
