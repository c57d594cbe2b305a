"""The ``tracemark`` command.

Only click is imported here: every command's module loads when the command is run.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

import click

from cli.errors import INTERRUPTED, OK
from cli.lazy import LazyGroup

COMMANDS: Final = {
    "demo": ("cli.demo", "demo", "Load and show the demonstration stories."),
    "network": ("cli.network", "network", "Make, start and check a network."),
    "participant": ("cli.participant", "participant", "Register parties; roles and licences."),
    "product": ("cli.product", "product", "Define products and their policies."),
    "anchor": ("cli.anchor", "anchor_command", "Anchor EPCIS documents on the ledger."),
    "payload": ("cli.payload", "payload", "Erase off-chain payloads; see who read them."),
    "grant": ("cli.grant", "grant", "Grant access to payloads, and take it back."),
    "trace": ("cli.trace", "trace", "Show where an item comes from or went."),
    "certificate": ("cli.certificate", "certificate", "Issue, show and revoke certificates."),
    "verify": ("cli.verify", "verify", "Verify a certificate or an item's certificates."),
    "qr": ("cli.qr", "qr", "Draw the QR code that opens an item's page."),
    "audit": ("cli.audit", "audit", "Audit an item: history, checks and gaps."),
    "carbon": ("cli.carbon", "carbon", "Show and verify carbon records."),
    "epcis": ("cli.epcis", "epcis", "Validate and hash EPCIS documents offline."),
    "ledger": ("cli.ledger", "ledger", "Sign transactions on this machine; look them up."),
    "key": ("cli.key", "key", "Create, list and revoke API keys."),
    "completion": ("cli.completion", "completion", "Print a shell's completion script."),
}


class Root(LazyGroup):
    """The top group: the one place where failures become exit codes."""

    def main(self, *args: Any, standalone_mode: bool = True, **extra: Any) -> Any:
        """Run, and end with the exit code of the table in :mod:`cli.errors`."""
        run: Callable[..., Any] = super().main
        if not standalone_mode:
            return run(*args, standalone_mode=False, **extra)
        try:
            code = run(*args, standalone_mode=False, **extra)
        except click.ClickException as error:
            error.show()
            code = error.exit_code
        except (click.Abort, KeyboardInterrupt):
            click.echo("interrupted", err=True)
            code = INTERRUPTED
        except BrokenPipeError:
            # the reader has gone (`| head`): nothing more can be said on this stream
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = OK
        sys.exit(code if isinstance(code, int) else OK)


@click.group(
    cls=Root,
    lazy=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes, environment variables and examples: docs/reference/cli.md",
)
@click.version_option(package_name="tracemark", prog_name="tracemark")
def tracemark() -> None:
    """Anchor, trace, certify and verify goods on a permissioned ledger."""


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of the ``tracemark`` script."""
    tracemark.main(args=None if argv is None else list(argv), prog_name="tracemark")


if __name__ == "__main__":
    main()
