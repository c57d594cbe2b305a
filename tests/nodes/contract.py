"""A small contract with every kind of access, for tests of the engine alone."""

from __future__ import annotations

import json

from chaincode.stub import Stub


def invoke(stub: Stub, function: str, args: list[str]) -> bytes:
    """Functions named for the stub's methods; results are UTF-8 text or JSON."""
    return {
        "get": _get,
        "set": _set,
        "put": _put,
        "delete": _delete,
        "move": _move,
        "count": _count,
        "first": _first,
        "page": _page,
        "history": _history,
        "events": _events,
        "own_write": _own_write,
        "composite": _composite,
        "who": _who,
        "transient": _transient,
        "crash": _crash,
    }[function](stub, args)


def _get(stub: Stub, args: list[str]) -> bytes:
    return stub.get_state(args[0]) or b""


def _put(stub: Stub, args: list[str]) -> bytes:
    stub.put_state(args[0], args[1].encode())
    return b"written"


def _set(stub: Stub, args: list[str]) -> bytes:
    """Read, then write: conflicts with any other `set` of the same key."""
    before = stub.get_state(args[0]) or b""
    stub.put_state(args[0], args[1].encode())
    stub.set_event("set", args[0].encode())
    return before


def _delete(stub: Stub, args: list[str]) -> bytes:
    stub.get_state(args[0])
    stub.del_state(args[0])
    return b""


def _move(stub: Stub, args: list[str]) -> bytes:
    source, target, amount = args[0], args[1], int(args[2])
    balances = [int(value or b"0") for value in stub.get_states([source, target])]
    if balances[0] < amount:
        raise ValueError(f"{source} has only {balances[0]}")
    stub.put_state(source, str(balances[0] - amount).encode())
    stub.put_state(target, str(balances[1] + amount).encode())
    return b""


def _count(stub: Stub, args: list[str]) -> bytes:
    """Count a range and write the number at `args[2]`: phantoms must be noticed."""
    number = sum(1 for _ in stub.get_state_range(args[0], args[1]))
    if len(args) > 2:
        stub.put_state(args[2], str(number).encode())
    return str(number).encode()


def _first(stub: Stub, args: list[str]) -> bytes:
    """Read only the first key of a range, then write."""
    found = next(iter(stub.get_state_range(args[0], args[1])), None)
    stub.put_state(args[2], found.key.encode() if found else b"none")
    return b""


def _page(stub: Stub, args: list[str]) -> bytes:
    page = stub.get_state_page(
        args[0], args[1].split("/") if args[1] else [], int(args[2]), args[3]
    )
    if len(args) > 4:
        stub.put_state("x", b"y")
    return json.dumps([[record.key for record in page.records], page.bookmark]).encode()


def _history(stub: Stub, args: list[str]) -> bytes:
    return json.dumps(
        [
            [entry.tx_id, entry.timestamp_ms, entry.value.decode(), entry.is_delete]
            for entry in stub.get_history_for_key(args[0])
        ]
    ).encode()


def _events(stub: Stub, args: list[str]) -> bytes:
    for name in args:
        stub.set_event(name, name.encode())
    stub.put_state("events", "/".join(args).encode())
    return b""


def _own_write(stub: Stub, args: list[str]) -> bytes:
    stub.put_state(args[0], b"new")
    return stub.get_state(args[0]) or b"not seen"


def _composite(stub: Stub, args: list[str]) -> bytes:
    if args[0] == "put":
        key = "\0" + "".join(part + "\0" for part in args[1:])
        stub.put_state(key, b"1")
        return b""
    found = stub.get_state_by_partial_composite_key(args[1], args[2:])
    return json.dumps([record.key for record in found]).encode()


def _who(stub: Stub, args: list[str]) -> bytes:
    return json.dumps([stub.creator_msp, stub.channel, stub.tx_id, stub.timestamp_ms]).encode()


def _transient(stub: Stub, args: list[str]) -> bytes:
    stub.put_state("transient", str(len(stub.transient["secret"])).encode())
    return b""


def _crash(stub: Stub, args: list[str]) -> bytes:
    raise {"exit": SystemExit, "key": KeyError, "recursion": RecursionError}[args[0]]("boom")
