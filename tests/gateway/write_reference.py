"""Write the tables of docs/reference that tests compare with the code.

Run as ``python -m tests.gateway.write_reference`` after adding a setting, route or error code.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from gateway.app import create_app
from gateway.errors import all_problem_types
from gateway.settings import Settings
from tests.gateway.test_documents import OTHER_PAGES, OWN_ROUTES, REFERENCE


def replace(page: str, head: str, rows: Iterable[str]) -> None:
    """Put `rows` below the table head that begins with `head`."""
    path = REFERENCE / page
    lines = path.read_text().splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith(head)) + 2
    end = next(n for n in range(start, len(lines) + 1) if not "".join(lines[n : n + 1]))
    path.write_text("\n".join([*lines[:start], *rows, *lines[end:]]) + "\n")


def default_text(value: object) -> str:
    """A default as the table shows it."""
    if value in (None, "", ()):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def main() -> None:
    paths = create_app(Settings()).openapi()["paths"]
    replace(
        "settings.md",
        "| variable |",
        (
            f"| `TRACEMARK_{name.upper()}` | {default_text(field.default)} | {field.description} |"
            for name, field in Settings.model_fields.items()
        ),
    )
    replace(
        "http.md",
        "| code |",
        (
            f"| `{row.code}` | {row.status} | {row.meaning} |"
            for row in sorted(all_problem_types().values(), key=lambda row: row.code)
        ),
    )
    routes = [
        f"| `{method.upper()} {path}` | {operation['summary']} |"
        for path, methods in paths.items()
        if path.startswith(OWN_ROUTES) and not re.match(OTHER_PAGES, path)
        for method, operation in methods.items()
    ]
    replace("http.md", "| route |", [*routes, "| `GET /metrics` | Prometheus metrics |"])


if __name__ == "__main__":
    main()
