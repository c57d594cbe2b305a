"""The rules for things against a plain dict model: who may do what next, at random length.

Would catch: any sequence of commissioning, packing, shipping, receiving, recalling, selling and
destroying after which the contract and an independent reading of the rules disagree on whether
the next step is accepted, or on who holds what.
"""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from world import World, party_id, receiver, sgtin, sscc

from chaincode.errors import Refusal

PARTIES = {"maker": party_id(1), "mill": party_id(2), "shop": party_id(5)}
PIECES = [sgtin("A"), sgtin("B"), sgtin("C")]
UNITS = [sscc(1), sscc(2)]
THINGS = PIECES + UNITS

users = st.sampled_from(sorted(PARTIES))
pieces = st.sampled_from(PIECES)
things = st.sampled_from(THINGS)
containers = st.sampled_from(UNITS)


class Things(RuleBasedStateMachine):
    """`model`: uri to {holder, to (receiver), parent, status}."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World().open()
        self.world.party("maker", 1, "producer")
        self.world.party("mill", 2, "processor")
        self.world.party("shop", 5, "retailer")
        self.world.product("maker", makers=[party_id(n) for n in (2, 8)])
        self.model: dict[str, dict[str, Any]] = {}

    # the model's own reading of the rules

    def root(self, uri: str) -> dict[str, Any]:
        record = self.model[uri]
        while record["parent"]:
            record = self.model[record["parent"]]
        return record

    def chain(self, uri: str) -> list[str]:
        found = [uri]
        while self.model[found[-1]]["parent"]:
            found.append(self.model[found[-1]]["parent"])
        return found

    def strict(self, uri: str) -> bool:
        """Pieces are under enforce; a unit is while it holds enforced goods."""
        if uri in PIECES:
            return True
        return any(self.model[c]["parent"] == uri and self.strict(c) for c in self.model)

    def open(self, uri: str) -> bool:
        return {self.model[uri]["status"], self.root(uri)["status"]} == {"ok"}

    def kept(self, uri: str) -> bool:
        """Neither it nor its outermost container is gone (recalled is not gone)."""
        return {self.model[uri]["status"], self.root(uri)["status"]} <= {"ok", "recalled"}

    def carries_recalled(self, uri: str) -> bool:
        return any(
            r["status"] == "recalled" and uri in self.chain(c) for c, r in self.model.items()
        )

    def holds(self, user: str, uri: str) -> bool:
        root = self.root(uri)
        return bool(root["holder"] == PARTIES[user] and not root["to"])

    def attempt(self, user: str, allowed: bool, **fields: Any) -> bool:
        try:
            self.world.do(user, **fields)
        except Refusal:
            assert not allowed
            return False
        assert allowed
        return True

    # rules: units are only used where the model knows them to be governed by enforce

    @rule(user=users, uri=pieces)
    def commission(self, user: str, uri: str) -> None:
        allowed = uri not in self.model and user != "shop"
        if self.attempt(user, allowed, action="ADD", step="commissioning", epcs=[uri]):
            self.model[uri] = {"holder": PARTIES[user], "to": "", "parent": "", "status": "ok"}

    @rule(user=users, child=things, parent=containers)
    def pack(self, user: str, child: str, parent: str) -> None:
        if child not in self.model and child in UNITS:
            return
        if parent in self.model and not self.strict(parent):
            return
        if child in self.model and not self.strict(child):
            return
        allowed = child in self.model and child != parent
        allowed = allowed and self.kept(child) and self.holds(user, child)
        # packing again what is packed there already is no error and changes nothing
        allowed = allowed and self.model[child]["parent"] in ("", parent)
        if parent in self.model:
            allowed = allowed and self.kept(parent) and self.holds(user, parent)
            allowed = allowed and child not in self.chain(parent)
        fields = {"type": "AggregationEvent", "action": "ADD", "parent": parent}
        if self.attempt(user, allowed, **fields, children=[child]):
            self.model.setdefault(
                parent, {"holder": PARTIES[user], "to": "", "parent": "", "status": "ok"}
            )
            self.model[child]["parent"] = parent

    @rule(user=users, parent=containers)
    def unpack(self, user: str, parent: str) -> None:
        if parent not in self.model or not self.strict(parent):
            return
        root = dict(self.root(parent))
        allowed = self.holds(user, parent)
        allowed = allowed and self.model[parent]["status"] in ("ok", "recalled")
        allowed = allowed and root["status"] in ("ok", "recalled")
        fields = {"type": "AggregationEvent", "action": "DELETE", "parent": parent}
        if self.attempt(user, allowed, **fields):
            recalled = "recalled" in (self.model[parent]["status"], root["status"])
            for record in self.model.values():
                if record["parent"] == parent:
                    record.update(parent="", holder=root["holder"])
                    if recalled and record["status"] == "ok":
                        record["status"] = "recalled"

    @rule(user=users, other=users, uri=things)
    def ship(self, user: str, other: str, uri: str) -> None:
        if uri not in self.model or not self.strict(uri):
            return
        allowed = self.open(uri) and not self.model[uri]["parent"] and self.holds(user, uri)
        allowed = allowed and not self.carries_recalled(uri)
        fields = {"action": "OBSERVE", "step": "shipping", "to": receiver(PARTIES[other])}
        if self.attempt(user, allowed, **fields, epcs=[uri]):
            self.model[uri]["to"] = PARTIES[other]

    @rule(user=users, uri=things)
    def receive(self, user: str, uri: str) -> None:
        if uri not in self.model or not self.strict(uri):
            return
        record = self.model[uri]
        usable = {record["status"], self.root(uri)["status"]} <= {"ok", "recalled"}
        allowed = usable and not record["parent"] and record["to"] == PARTIES[user]
        if self.attempt(user, allowed, action="OBSERVE", step="receiving", epcs=[uri]):
            record.update(holder=PARTIES[user], to="")

    @rule(user=users, uri=things)
    def take_back(self, user: str, uri: str) -> None:
        if uri not in self.model or not self.strict(uri):
            return
        record = self.model[uri]
        usable = {record["status"], self.root(uri)["status"]} <= {"ok", "recalled"}
        allowed = usable and not record["parent"] and bool(record["to"])
        allowed = allowed and record["holder"] == PARTIES[user]
        if self.attempt(user, allowed, action="OBSERVE", step="void_shipping", epcs=[uri]):
            record["to"] = ""

    @rule(user=users, uri=pieces)
    def destroy(self, user: str, uri: str) -> None:
        if uri not in self.model:
            return
        record = self.model[uri]
        usable = {record["status"], self.root(uri)["status"]} <= {"ok", "recalled"}
        allowed = usable and not record["parent"] and self.holds(user, uri)
        if self.attempt(user, allowed, action="DELETE", step="destroying", epcs=[uri]):
            record["status"] = "destroyed"

    @rule(uri=pieces)
    def recall(self, uri: str) -> None:
        if uri not in self.model:
            return
        allowed = self.model[uri]["status"] != "destroyed"
        fields = {"action": "OBSERVE", "step": "holding", "disposition": "recalled"}
        if self.attempt("regulator", allowed, **fields, epcs=[uri]):
            self.model[uri]["status"] = "recalled"

    @rule(user=users, uri=pieces)
    def store(self, user: str, uri: str) -> None:
        if uri not in self.model:
            return
        record, root = self.model[uri], self.root(uri)
        usable = {record["status"], root["status"]} <= {"ok", "recalled"}
        mine = (
            PARTIES[user] in (root["holder"], root["to"]) if root["to"] else self.holds(user, uri)
        )
        if root["to"] and root["holder"] == PARTIES[user]:
            mine = root["status"] == "ok" or root["to"] == PARTIES[user]
        self.attempt(user, usable and mine, action="OBSERVE", step="storing", epcs=[uri])

    @invariant()
    def everyone_agrees_on_holders(self) -> None:
        for uri in self.model:
            root = self.root(uri)
            found = self.world.item(uri)
            assert found["holder"] == root["holder"]
            assert found.get("receiver", "") == root["to"]
            assert found.get("parent", "") == self.model[uri]["parent"]
            assert (found["status"] == "recalled") == (self.model[uri]["status"] == "recalled")
            assert (found["status"] == "destroyed") == (self.model[uri]["status"] == "destroyed")


TestThings = Things.TestCase
TestThings.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
