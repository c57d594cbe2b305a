"""A cache of results by text that long texts cannot fill.

Documents repeat their places, parties and words, so remembering pays; a hostile document is full
of long texts that never come again, which must not stay in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import TypeVar

LONGEST = 200

Result = TypeVar("Result")


def short_cache(
    maxsize: int,
) -> Callable[[Callable[[str], Result]], Callable[[str], Result]]:
    """Remember the last `maxsize` results for texts of up to `LONGEST` characters."""

    def decorate(function: Callable[[str], Result]) -> Callable[[str], Result]:
        remembered = lru_cache(maxsize=maxsize)(function)

        @wraps(function)
        def call(text: str) -> Result:
            return remembered(text) if len(text) <= LONGEST else function(text)

        return call

    return decorate
