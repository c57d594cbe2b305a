"""Printing: for people through rich, for programs as one JSON value on standard output.

Progress and remarks go to standard error, results to standard output, so that a result can be
piped. Colours and bars appear on a terminal only; ``NO_COLOR`` is honoured by rich. Whatever
comes from a document or the network is printed without control and bidirectional characters.
"""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

_consoles: dict[bool, tuple[Any, Console]] = {}


def console(stderr: bool = False) -> Console:
    """The rich console of standard output (or error), made on first use."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    held = _consoles.get(stderr)
    if held is None or held[0] is not stream:
        width = None if stream.isatty() else 200
        made = Console(file=stream, highlight=False, soft_wrap=True, width=width)
        _consoles[stderr] = held = (stream, made)
    return held[1]


def print_json(value: Any) -> None:
    """One JSON value, indented, on standard output."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def note(text: str) -> None:
    """A remark on standard error."""
    console(stderr=True).print(text, style="dim", markup=False)


def warn(text: str) -> None:
    """A warning on standard error."""
    console(stderr=True).print(f"warning: {text}", style="yellow", markup=False)


def line(text: str = "", style: str | None = None) -> None:
    """One line of a result on standard output; `text` is printed as it is, without markup."""
    console().print(text, style=style, markup=False)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A plain table on standard output."""
    from rich.table import Table
    from rich.text import Text

    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*(Text(clean(cell)) for cell in row))
    console().print(made)


def fields(pairs: Iterable[tuple[str, object]]) -> None:
    """Name and value lines; empty values are left out."""
    present = [(name, clean(value)) for name, value in pairs if value not in (None, "", [], {})]
    width = max((len(name) for name, _ in present), default=0)
    for name, value in present:
        line(f"{name:<{width}}  {value}")


def clean(value: object) -> str:
    """`value` as text that cannot move the cursor, change colours or reorder its neighbours."""
    if value is None:
        return ""
    text = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    return "".join(
        char
        if unicodedata.category(char) not in {"Cc", "Cf", "Zl", "Zp"}
        else "\N{REPLACEMENT CHARACTER}"
        for char in text
    )


def progress() -> Progress:
    """A progress display on standard error: a bar on a terminal, nothing elsewhere."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    shown = console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=shown,
        disable=not shown.is_terminal,
        transient=True,
    )
