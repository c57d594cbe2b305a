"""A small contract for the wire tests: one function per behaviour that a client can observe."""

from __future__ import annotations

import json
import time
from typing import Any

from chaincode.errors import Refusal
from chaincode.stub import Stub


def invoke(stub: Stub, function: str, args: list[str]) -> bytes:
    """Run `function` with its one JSON argument."""
    if function == "echo":
        return args[0].encode()
    arg = json.loads(args[0]) if args else {}
    answer = FUNCTIONS[function](stub, arg)
    return json.dumps(answer, sort_keys=True, separators=(",", ":")).encode()


def put(stub: Stub, arg: dict[str, Any]) -> Any:
    stub.put_state(arg["key"], arg["value"].encode())
    stub.set_event("put", arg["key"].encode())
    return {"key": arg["key"], "tx_id": stub.tx_id}


def get(stub: Stub, arg: dict[str, Any]) -> Any:
    value = stub.get_state(arg["key"])
    if value is None:
        raise Refusal("NOT_FOUND", f"no value at {arg['key']}", "/key")
    return {"value": value.decode()}


def add(stub: Stub, arg: dict[str, Any]) -> Any:
    """Count up: two of them endorsed on one state conflict."""
    value = int(stub.get_state(arg["key"]) or b"0") + 1
    stub.put_state(arg["key"], str(value).encode())
    return {"value": value}


def count_below(stub: Stub, arg: dict[str, Any]) -> Any:
    """Count a range and add a key to it: two of them conflict as phantoms."""
    prefix = arg["prefix"]
    found = sum(1 for _ in stub.get_state_range(prefix, prefix + "~"))
    stub.put_state(prefix + arg["name"], b"x")
    return {"found": found}


def refuse(stub: Stub, arg: dict[str, Any]) -> Any:
    raise Refusal("BAD_ARGUMENT", arg.get("message", "the weight must be positive"), "/mass_g")


def whoami(stub: Stub, arg: dict[str, Any]) -> Any:
    return {"msp": stub.creator_msp, "channel": stub.channel}


def transient(stub: Stub, arg: dict[str, Any]) -> Any:
    return {name: value.decode() for name, value in stub.transient.items()}


def slow(stub: Stub, arg: dict[str, Any]) -> Any:
    time.sleep(arg["ms"] / 1000)
    return {"slept_ms": arg["ms"]}


def crash(stub: Stub, arg: dict[str, Any]) -> Any:
    raise ZeroDivisionError("a programming error in the contract")


FUNCTIONS = {
    "put": put,
    "get": get,
    "add": add,
    "countBelow": count_below,
    "refuse": refuse,
    "whoami": whoami,
    "transient": transient,
    "slow": slow,
    "crash": crash,
}
