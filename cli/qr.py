"""``tracemark qr``: the QR code that opens an item's page (GS1 Digital Link URI, ISO/IEC 18004).

Drawn on this machine: the code holds the address alone, so no network is asked.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import click

from cli.command import command
from cli.errors import UsageFault
from cli.output import clean, line, print_json
from cli.profile import load_profile

OUTPUT = click.Path(dir_okay=False, path_type=Path, writable=True)
SCANNABLE: Final = frozenset(
    {"gtin", "lgtin", "sgtin", "sscc", "gln", "pgln", "grai", "giai", "gdti", "gsrn", "gsrnp",
     "cpi", "itip", "upui", "gcn", "ginc", "gsin"}
)  # fmt: skip


@command(name="qr")
@click.argument("identifier", metavar="ID")
@click.option(
    "--base", default="", metavar="URL", help="Address the code leads to [the gateway's]."
)
@click.option("--svg", type=OUTPUT, help="Write an SVG file.")
@click.option("--png", type=OUTPUT, help="Write a PNG file.")
@click.option("--size", type=click.IntRange(64, 2048), default=320, help="Pixels of the image.")
@click.option("--url", default="", metavar="URL", help="Base URL of the gateway.")
@click.option("--profile", default="", metavar="NAME", help="Profile of config.toml.")
def qr(
    identifier: str,
    base: str,
    svg: Path | None,
    png: Path | None,
    size: int,
    url: str,
    profile: str,
    as_json: bool,
) -> None:
    """Draw the QR code of ID in the terminal, or into a file.

    \b
    Examples:
      tracemark qr https://id.gs1.org/01/09521105000012/10/AL260318
      tracemark qr urn:epc:id:sgtin:9521301.000001.MC26-0087 --svg watch.svg
      tracemark qr "(01)09521105000012(10)AL260318" --base https://scan.example.com
    """
    link = scan_url(identifier, base or load_profile(profile, url).url)
    from gateway import qr as drawing

    written = []
    for path, draw in ((svg, drawing.svg), (png, drawing.png)):
        if path is not None:
            path.write_bytes(draw(link, size))
            written.append(str(path))
    if as_json:
        print_json({"url": link, "files": written})
        return
    if not written:
        click.echo(drawing.terminal(link), nl=False)
    line(link)
    for name in written:
        line(clean(name))


def scan_url(identifier: str, base: str) -> str:
    """The address of `identifier`'s page below the gateway `base`; raises UsageFault."""
    from chaincode.errors import IdentifierError
    from chaincode.identifiers import STEM, parse

    try:
        found = parse(identifier)
    except IdentifierError as error:
        raise UsageFault(error.message, code=error.code) from error
    if found.kind not in SCANNABLE or not found.uri.startswith(STEM):
        raise UsageFault(
            f"{clean(identifier)} has no page: a GS1 key such as a GTIN, SSCC or GLN is accepted",
            code="BAD_IDENTIFIER",
        )
    if urlsplit(base).scheme not in ("http", "https") or not urlsplit(base).netloc:
        raise UsageFault(f"{base!r} is not a base URL")
    return f"{base.rstrip('/')}/{found.uri.removeprefix(STEM)}"
