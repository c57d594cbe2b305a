"""What the command line says when something goes wrong, and the exit code it ends with.

    CliError                   base: sentence for the user, exit code
    ├── UsageFault             2  the arguments, a file or a profile cannot be used
    ├── Refused                3  the contract's rules or the gateway's validation refused it
    ├── Unreachable            4  no gateway answers, or it cannot reach its ledger or database
    ├── NotAllowed             5  the key is missing, wrong, or its roles do not allow this
    ├── NotFound               6  nothing is known under this identifier
    └── Unexpected             70 an answer or a failure that has no better name

A *negative verdict* (a certificate that does not verify, a document with faults, an audit with
findings) is an answer and no error: the command prints it and ends with :data:`NEGATIVE`.
The table :data:`EXIT_CODES` is printed by ``docs/reference/cli.md`` and held to it by a test.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import IO, Any, Final

import click

MOST_ERRORS_SHOWN: Final = 20

OK: Final = 0
NEGATIVE: Final = 1
USAGE: Final = 2
REFUSED: Final = 3
UNREACHABLE: Final = 4
NOT_ALLOWED: Final = 5
NOT_FOUND: Final = 6
UNEXPECTED: Final = 70
INTERRUPTED: Final = 130

EXIT_CODES: Final[Mapping[int, str]] = {
    OK: "done, and the verdict (if there is one) is positive",
    NEGATIVE: "a negative verdict: not verified, not valid, findings, or gaps",
    USAGE: "wrong usage: arguments, an unreadable file, an unusable profile or home",
    REFUSED: "refused by the rules: the contract or the gateway's validation said no",
    UNREACHABLE: "the network cannot be reached; nothing was changed, or the command says what was",
    NOT_ALLOWED: "not allowed: no key, a wrong key, or roles that do not suffice",
    NOT_FOUND: "nothing is known under this identifier",
    UNEXPECTED: "an unexpected answer or failure: a defect worth reporting",
    INTERRUPTED: "interrupted by Ctrl-C; what was accepted until then stays",
}


class CliError(click.ClickException):
    """A failure to be told in one sentence.

    code: a stable name where there is one (a refusal code, a problem code). where: JSON pointer
    into what was sent, or "". errors: per-part objects, as the gateway gave them.
    """

    exit_code = UNEXPECTED

    def __init__(
        self,
        message: str,
        code: str = "",
        where: str = "",
        errors: Sequence[Mapping[str, Any]] = (),
        hint: str = "",
    ) -> None:
        super().__init__(message)
        self.code = code
        self.where = where
        self.errors = list(errors)
        self.hint = hint
        self.as_json = False

    def show(self, file: IO[Any] | None = None) -> None:
        """The sentence, its code, the parts that failed and what to do, on standard error."""
        if self.as_json:
            click.echo(json.dumps({"error": self.to_json()}, indent=2, ensure_ascii=False))
            return
        where = f" (at {self.where})" if self.where else ""
        code = f" [{self.code}]" if self.code else ""
        click.echo(f"error: {self.message}{where}{code}", file=file, err=True)
        for part in self.errors[:MOST_ERRORS_SHOWN]:
            click.echo(f"  {describe(part)}", file=file, err=True)
        if len(self.errors) > MOST_ERRORS_SHOWN:
            rest = len(self.errors) - MOST_ERRORS_SHOWN
            click.echo(f"  and {rest} more; --json prints all of them", file=file, err=True)
        if self.hint:
            click.echo(f"  {self.hint}", file=file, err=True)

    def to_json(self) -> dict[str, Any]:
        """The object printed under ``error`` with ``--json``."""
        out: dict[str, Any] = {"message": self.message, "exit_code": self.exit_code}
        for name in ("code", "where", "errors", "hint"):
            if value := getattr(self, name):
                out[name] = value
        return out


def describe(part: Mapping[str, Any]) -> str:
    """One failed part of a request (an event, a field) as one line: pointer, code, sentence."""
    where = str(part.get("where") or part.get("pointer") or "")
    if not where and "index" in part:
        where = f"event {part['index']}"
    code = str(part.get("code") or "")
    message = str(part.get("message") or part.get("detail") or part.get("msg") or "")
    return "  ".join(word for word in (where, code, message) if word)


class UsageFault(CliError):
    """The arguments, a file or a profile cannot be used."""

    exit_code = USAGE


class Refused(CliError):
    """The rules said no."""

    exit_code = REFUSED


class Unreachable(CliError):
    """No gateway answers, or what stands behind it does not."""

    exit_code = UNREACHABLE


class NotAllowed(CliError):
    """The key is missing or does not allow this."""

    exit_code = NOT_ALLOWED


class NotFound(CliError):
    """Nothing is known under this identifier."""

    exit_code = NOT_FOUND


class Unexpected(CliError):
    """An answer or a failure that has no better name."""
