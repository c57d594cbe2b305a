"""A network's home and its gateway's state, as data and as text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cli.output import fields, line, print_json, table


def describe(home: Path) -> dict[str, Any]:
    """The description a home was made from; ``{"home": None}`` where there is none."""
    if not (home / "network.json").exists():
        return {"home": None}
    from nodes.network import load_network

    description = load_network(home)
    return {
        "home": str(home),
        "name": description.name,
        "channel": description.channel,
        "chaincode": description.chaincode,
        "policy": {"n": description.policy.n, "of": description.policy.of},
        "organisations": [
            {
                "name": organisation.name,
                "msp_id": organisation.msp_id,
                "country": organisation.country,
                "node": organisation.node.address,
                "users": [user.name for user in organisation.all_users],
            }
            for organisation in description.organisations
        ],
    }


def print_home(home: Path, as_json: bool) -> None:
    """A home that was just made or changed, and how to start it."""
    shown = describe(home)
    if as_json:
        print_json(shown)
    else:
        _print(shown)
        line(f"start it with: tracemark network up --home {home}")


def _print(shown: dict[str, Any]) -> None:
    if shown["home"] is None:
        return
    policy = shown["policy"]
    fields(
        (
            ("network", shown["name"]),
            ("home", shown["home"]),
            ("channel", shown["channel"]),
            ("contract", shown["chaincode"]),
            ("policy", f"{policy['n']} of {policy['of']} organisations endorse"),
        )
    )
    table(
        ("organisation", "MSP", "country", "node", "users"),
        (
            (o["name"], o["msp_id"], o["country"], o["node"], len(o["users"]))
            for o in shown["organisations"]
        ),
    )


def print_status(shown: dict[str, Any]) -> None:
    """A home and how its gateway is."""
    _print(shown)
    gateway = shown["gateway"]
    state = {True: "ready", False: "not ready", None: "does not answer"}[gateway["ready"]]
    fields(
        (
            ("gateway", f"{gateway['url']} {state}"),
            *((name, value) for name, value in gateway.items() if name not in ("url", "ready")),
        )
    )
