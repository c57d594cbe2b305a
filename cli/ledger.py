"""``tracemark ledger``: call the contract with a key that never leaves this machine."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cli.client import Client, path_segment
from cli.command import CONTEXT, command, connected
from cli.errors import NEGATIVE, UsageFault
from cli.output import fields, line, print_json

if TYPE_CHECKING:
    from cli.signing import Call
    from nodes.identity.signer import Signer

F = TypeVar("F", bound=Callable[..., Any])


@click.group(context_settings=CONTEXT)
def ledger() -> None:
    """Sign transactions on this machine; look them up."""


def _signing(function: F) -> F:
    """The options of commands that sign."""
    folder = click.Path(exists=True, file_okay=False, path_type=Path)
    for option in (
        click.option("--chaincode", default="tracemark", show_default=True, help="Chaincode name."),
        click.option("--channel", default="trace", show_default=True, help="Channel name."),
        click.option("--msp-id", default="", metavar="MSP-ID",
                     help="MSP the certificate belongs to [as the gateway finds it]."),
        click.option("--msp", required=True, type=folder, metavar="FOLDER",
                     help="MSP folder: signcerts/ and keystore/ below it."),
    ):  # fmt: skip
        function = option(function)
    return function


@command(ledger, "submit")
@click.argument("function", metavar="FUNCTION")
@click.argument("argument", metavar="ARG")
@_signing
@connected
def submit(
    function: str,
    argument: str,
    msp: Path,
    msp_id: str,
    channel: str,
    chaincode: str,
    as_json: bool,
    client: Client,
) -> None:
    """Call the contract's FUNCTION with the JSON object ARG (- reads it) and wait for its block.

    The gateway prepares proposal and transaction; each is compared with what was asked for and
    signed here, with the key in FOLDER. No API key is needed: the signature says who it is.

    \b
    Examples:
      tracemark ledger submit product:define '{"gtin":"09521234000013","name":"Green coffee"}' \\
          --msp ./msp
      tracemark ledger submit grant:give - --msp ./msp < grant.json
    """
    from cli.signing import submit as run

    done = run(client, _signer(msp, msp_id), _call(function, argument, channel, chaincode))
    if as_json:
        print_json(done)
        return
    print_json(done["result"])
    line(f"block {done['block']}, transaction {done['tx_id']}")


@command(ledger, "query")
@click.argument("function", metavar="FUNCTION")
@click.argument("argument", metavar="ARG")
@_signing
@connected
def query(
    function: str,
    argument: str,
    msp: Path,
    msp_id: str,
    channel: str,
    chaincode: str,
    as_json: bool,
    client: Client,
) -> None:
    """Ask the contract's FUNCTION with the JSON object ARG, signed here; nothing is written.

    \b
    Example:
      tracemark ledger query item:get '{"id":"https://id.gs1.org/00/095212340000000013"}' \\
          --msp ./msp
    """
    from cli.signing import query as run

    print_json(run(client, _signer(msp, msp_id), _call(function, argument, channel, chaincode)))


@command(ledger, "status")
@click.argument("tx_id", metavar="TRANSACTION")
@connected
def status(tx_id: str, as_json: bool, client: Client) -> int | None:
    """Show what became of a transaction; ends with 1 when it is invalid, 6 when in no block.

    \b
    Example:
      tracemark ledger status 5f6d8c0c7c1f4a0d9d5c0a4b6e1f2a3b4c5d6e7f8091a2b3c4d5e6f708192a3b
    """
    found = client.get(f"/v1/ledger/transactions/{path_segment(tx_id)}")
    if as_json:
        print_json(found)
    else:
        names = ("tx_id", "block", "position", "validation_code", "msp")
        fields((name.replace("_", " "), found[name]) for name in names)
    return None if found["valid"] else NEGATIVE


def _signer(folder: Path, msp_id: str) -> Signer:
    from nodes.identity.signer import signer_from_msp

    return signer_from_msp(msp_id, folder)


def _call(function: str, argument: str, channel: str, chaincode: str) -> Call:
    from chaincode.codec import loads
    from chaincode.errors import Refusal
    from cli.signing import Call

    text = sys.stdin.read() if argument == "-" else argument
    try:
        found = loads(text.encode())
    except Refusal as error:
        raise UsageFault(f"ARG cannot be used: {error}", code=error.code) from error
    if not isinstance(found, dict):
        raise UsageFault(f"ARG is a JSON object, not {json.dumps(found)[:40]}")
    return Call(function, found, channel, chaincode)
