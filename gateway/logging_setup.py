"""Structured logs: one JSON object a line, with ids, codes and durations and nothing else.

Payloads, keys, tokens and request bodies never reach a log line: an error is logged with its type
and its place in the code, not with its text, unless the code that logs it chose the text. Access
lines are collected and written a few times a second, which keeps them off the request's path.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
import traceback
from typing import Any

import orjson

from gateway.settings import Settings

_STANDARD = frozenset(logging.LogRecord("", 0, "", 0, "", (), None).__dict__) | {
    "message", "asctime", "taskName", "color_message",
}  # fmt: skip
FLUSH_AFTER_S = 0.25
FLUSH_AT_LINES = 500
MOST_LINES_KEPT = 20_000


class JsonFormatter(logging.Formatter):
    """LogRecord to one JSON line: time, level, logger, message, and the record's extra fields."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": _stamp(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name, value in record.__dict__.items():
            if name not in _STANDARD:
                line[name] = value if isinstance(value, int | float | bool) else str(value)
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = describe(record.exc_info[1])
        return orjson.dumps(line, default=str).decode()


class TextFormatter(logging.Formatter):
    """For eyes: time, level, message, extras as key=value."""

    def format(self, record: logging.LogRecord) -> str:
        extras = " ".join(
            f"{name}={value}" for name, value in record.__dict__.items() if name not in _STANDARD
        )
        text = f"{_stamp(record.created)} {record.levelname:<7} {record.getMessage()} {extras}"
        if record.exc_info and record.exc_info[1] is not None:
            text += f" error={describe(record.exc_info[1])}"
        return text.rstrip()


def describe(error: BaseException) -> str:
    """Type and place of an error, without its text (which may quote input)."""
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    places = " < ".join(f"{frame.name}:{frame.lineno}" for frame in reversed(frames))
    return f"{type(error).__module__}.{type(error).__qualname__} at {places}"


def configure(settings: Settings) -> None:
    """Send every logger of the process to standard error in the configured form."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if settings.log_format == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = name != "uvicorn.access"
    # Quiet unless something is wrong; alembic announces every step it does not take.
    for name in ("alembic", "sqlalchemy", "grpc", "httpx", "uvicorn.error"):
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


class AccessLog:
    """Collects access lines and writes them in bunches; used from the event loop's thread."""

    def __init__(self, as_json: bool) -> None:
        self._json = as_json
        self._lines: list[tuple[float, str, str, int, float, str, str]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._dropped = 0

    def add(
        self, method: str, route: str, status: int, seconds: float, request_id: str, key_id: str
    ) -> None:
        """Note one answered request. `route` is the path's template, never the path."""
        if len(self._lines) >= MOST_LINES_KEPT:
            self._dropped += 1
            return
        self._lines.append((time.time(), method, route, status, seconds, request_id, key_id))
        if len(self._lines) >= FLUSH_AT_LINES:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_AFTER_S, self.flush)

    def flush(self) -> None:
        """Write what was collected."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        lines, self._lines = self._lines, []
        dropped, self._dropped = self._dropped, 0
        if lines:
            sys.stderr.write("".join(map(self._line, lines)))
        if dropped:
            logging.getLogger(__name__).warning("access lines dropped", extra={"count": dropped})

    def _line(self, entry: tuple[float, str, str, int, float, str, str]) -> str:
        at, method, route, status, seconds, request_id, key_id = entry
        if not self._json:
            return f"{_stamp(at)} {method} {route} {status} {seconds * 1000:.1f} ms {request_id}\n"
        line = {
            "time": _stamp(at),
            "level": "info",
            "logger": "access",
            "message": "request",
            "method": method,
            "route": route,
            "status": status,
            "ms": round(seconds * 1000, 2),
            "request_id": request_id,
        }
        if key_id:
            line["key_id"] = key_id
        return orjson.dumps(line).decode() + "\n"


def _stamp(at: float) -> str:
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at))
    return f"{whole}.{int(at % 1 * 1000):03d}Z"
