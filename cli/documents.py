"""EPCIS documents named on the command line: files, folders, or ``-`` for standard input."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cli.errors import UsageFault

STDIN: Final = "-"
SUFFIXES: Final = (".json", ".jsonld")


@dataclass(frozen=True, slots=True)
class Source:
    """One document: the name it is reported by, and where its bytes are."""

    name: str
    path: Path | None

    def read(self) -> bytes:
        """The document's bytes; standard input is read to its end."""
        if self.path is None:
            return sys.stdin.buffer.read()
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise UsageFault(f"{self.path} cannot be read: {error.strerror}") from error


def sources(names: Iterable[str]) -> list[Source]:
    """The documents behind `names`, folders searched for .json and .jsonld in name order."""
    found: list[Source] = []
    for name in names:
        found += _expand(name)
    stdin = [source for source in found if source.path is None]
    if len(stdin) > 1:
        raise UsageFault("standard input (-) can be named once")
    return found


def _expand(name: str) -> Iterator[Source]:
    if name == STDIN:
        yield Source("<stdin>", None)
        return
    path = Path(name)
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.suffix in SUFFIXES and p.is_file())
        if not files:
            raise UsageFault(f"{name} holds no .json or .jsonld files")
        for file in files:
            yield Source(str(file), file)
    elif path.exists():
        yield Source(name, path)
    else:
        raise UsageFault(f"{name} does not exist")
