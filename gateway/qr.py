"""QR codes of GS1 Digital Link URIs, as SVG and PNG (ISO/IEC 18004).

Error correction M by default or Q for surfaces that wear; a quiet zone of 4 modules on every side.
"""

from __future__ import annotations

import io
from functools import lru_cache
from typing import Literal

import segno

QUIET_ZONE = 4
MIN_SIZE, DEFAULT_SIZE, MAX_SIZE = 64, 320, 2048
Level = Literal["M", "Q"]


def svg(text: str, size: int = DEFAULT_SIZE, level: Level = "M") -> bytes:
    """SVG document, `size` CSS pixels square, black on white whatever the page's colours are."""
    code = _code(text, level)
    out = io.BytesIO()
    scale = size / code.symbol_size(border=QUIET_ZONE)[0]
    code.save(out, kind="svg", scale=scale, border=QUIET_ZONE, dark="#000", light="#fff")
    return out.getvalue()


def png(text: str, size: int = DEFAULT_SIZE, level: Level = "M") -> bytes:
    """PNG image at most `size` pixels square: whole pixels per module, never resampled."""
    code = _code(text, level)
    out = io.BytesIO()
    scale = max(1, size // code.symbol_size(border=QUIET_ZONE)[0])
    code.save(out, kind="png", scale=scale, border=QUIET_ZONE)
    return out.getvalue()


def terminal(text: str) -> str:
    """The code in half-block characters for a terminal."""
    out = io.StringIO()
    _code(text, "M").terminal(out, border=2, compact=True)
    return out.getvalue()


@lru_cache(maxsize=256)
def _code(text: str, level: Level) -> segno.QRCode:
    return segno.make_qr(text, error=level, boost_error=False)
