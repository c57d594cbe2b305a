"""``tracemark trace``: an item's way as a tree in the terminal.

The root is the item; below each identifier stand its events in time order; below an event, what
went into it, what came of it, or the container it travelled in. An identifier is opened once and
referred to afterwards. Gaps are printed as gaps.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final

import click
from rich.text import Text
from rich.tree import Tree

from cli.client import Client, path_segment
from cli.command import command, connected
from cli.output import clean, console, line, print_json

STEM: Final = "https://id.gs1.org"
PAYLOADS: Final = {"erased": "payload erased", "missing": "PAYLOAD MISSING", "unreachable": "?"}


@command(name="trace")
@click.argument("identifier", metavar="ID")
@click.option("--direction", type=click.Choice(["up", "down", "both"]), default="both",
              show_default=True, help="To its origins, to its uses, or both.")  # fmt: skip
@click.option("--depth", type=click.IntRange(0, 200), default=50, show_default=True,
              help="Most links followed.")  # fmt: skip
@connected
def trace(identifier: str, direction: str, depth: int, as_json: bool, client: Client) -> None:
    """Show where the item or lot ID comes from and where it went.

    ID may be a scan address, a GS1 Digital Link, an EPC URN, or element strings.

    \b
    Examples:
      tracemark trace https://id.gs1.org/01/09521105000012/10/AL260318 --direction up
      tracemark trace "(01)09521301000014(21)MC26-0087" --json
    """
    path = f"/v1/trace/{path_segment(identifier)}"
    found = client.get(path, {"direction": direction, "depth": depth})
    if as_json:
        print_json(found)
        return
    console().print(Drawing(found).tree())
    print_gaps(found["gaps"])
    counts = found["counts"]
    line(
        f"{counts['events']} events, {counts['identifiers']} identifiers, "
        f"{counts['parties']} parties, {counts['countries']} countries, "
        f"{counts['findings']} findings, {len(found['gaps'])} gaps; "
        f"as of block {found['as_of']['height']}",
        "bold",
    )
    if found["truncated"]:
        line("The trace was cut at its bound: trace one of the last identifiers to go on.", "red")


def print_gaps(gaps: Iterable[Mapping[str, Any]]) -> None:
    """One line for each gap."""
    for gap in gaps:
        line(f"gap  {gap['kind']}: {clean(gap['sentence']).replace(STEM, '')}", "yellow")


def short(identifier: str) -> str:
    """An identifier without the canonical domain, safe to print."""
    return clean(identifier.removeprefix(STEM))


class Drawing:
    """A trace answer as a rich tree; used once."""

    def __init__(self, found: Mapping[str, Any]) -> None:
        self._root = found["id"]
        self._parties = found["parties"]
        self._things = {n["id"]: n for n in found["nodes"] if n["node"] == "identifier"}
        self._events = {n["id"]: n for n in found["nodes"] if n["node"] == "event"}
        self._of: dict[str, list[tuple[str, str]]] = defaultdict(list)
        self._at: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for edge in found["edges"]:
            ends = (edge["from"], edge["to"])
            thing, event = ends if ends[1] in self._events else (ends[1], ends[0])
            self._of[thing].append((event, edge["role"]))
            self._at[event].append((thing, edge["role"]))
        self._opened: set[str] = set()

    def tree(self) -> Tree:
        """The whole tree."""
        tree = Tree(self._label(self._root), guide_style="dim")
        self._open(tree, self._root)
        return tree

    def _open(self, branch: Tree, thing: str, riding: bool = False) -> None:
        """Add the events of `thing`; of a container it rides in, not what else is inside."""
        self._opened.add(thing)
        entries = sorted(self._of[thing], key=lambda e: self._events[e[0]]["when"]["time_ms"])
        for event_id, role in entries:
            twig = branch.add(self._event(event_id, thing))
            if riding and role == "parent":
                continue
            for other in self._beside(event_id, role, thing):
                if other in self._opened:
                    twig.add(Text(f"{short(other)} (see above)", style="dim"))
                else:
                    self._open(twig.add(self._label(other)), other, riding=role == "child")

    def _beside(self, event_id: str, role: str, thing: str) -> list[str]:
        """What to open below an event: the other side of what it did to `thing`."""
        wanted = {
            "output": ("input",),
            "input": ("output",),
            "child": ("parent",),
            "parent": ("child",),
        }.get(role, ())
        found = [other for other, its in self._at[event_id] if its in wanted and other != thing]
        if role == "output":
            return found
        # the way one came from is no news
        return [other for other in found if other not in self._opened]

    def _label(self, thing: str) -> Text:
        node = self._things.get(thing, {})
        text = Text()
        if node.get("product"):
            text.append(clean(node["product"]) + "  ", style="bold")
        text.append(short(thing), style="cyan")
        state = node.get("state", {})
        if state.get("status") not in (None, "active"):
            text.append(f"  {clean(state['status'])}", style="magenta")
        for certificate in node.get("certificates", []):
            text.append(f"  {clean(certificate['type'])} certificate", style="green")
            text.append(f" {clean(certificate['status'])}", style="green")
        return text

    def _event(self, event_id: str, thing: str) -> Text:
        event = self._events[event_id]
        what, who, where = event["what"], event["who"], event["where"]
        text = Text(event["when"]["time"][:16].replace("T", " "), style="dim")
        text.append(f"  {clean(what.get('step') or event['type'])}", style="bold")
        text.append(f"  {self._party(who['party'])}")
        if who.get("submitted_by"):
            text.append(f" (recorded by {self._party(who['submitted_by'])})", style="dim")
        if where.get("country"):
            text.append(f"  {clean(where['country'])}")
        for item in event["items"]:
            if item["id"] == thing and item.get("qty"):
                text.append(f"  {clean(item['qty'])} {clean(item.get('unit', 'EA'))}")
                break
        self._warn(text, event["evidence"])
        return text

    def _warn(self, text: Text, evidence: Mapping[str, Any]) -> None:
        if evidence["state"] != "anchored":
            text.append(f"  {evidence['state'].upper()}", style="red")
        if evidence["payload"] in PAYLOADS:
            text.append(f"  {PAYLOADS[evidence['payload']]}", style="yellow")
        for finding in evidence["findings"]:
            text.append(f"  {clean(finding['code'])}", style="red")

    def _party(self, party: str) -> str:
        return clean(self._parties.get(party, {}).get("name") or short(party))
