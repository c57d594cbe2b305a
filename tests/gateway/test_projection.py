"""Blocks into rows: whatever the batches, the crashes and the rival gateways, the same tables."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select, text

from gateway.database import open_engine
from gateway.readmodel import tables
from gateway.readmodel.project import ForeignLedger, Projector
from gateway.readmodel.store import ReadModel
from tests.gateway.blocks import NAMESPACE, Chain, Tx, digest, event

ITEM = "https://id.gs1.org/01/09521234543213/21/S1"
LOT = "https://id.gs1.org/01/09521234543213/10/L1"
FARM = "urn:tracemark:party:farm"


@contextmanager
def projecting(url: str) -> Iterator[tuple[ReadModel, Projector]]:
    engine = open_engine(url, pool=4)
    readmodel = ReadModel(engine)
    readmodel.prepare()
    try:
        yield readmodel, Projector(readmodel, NAMESPACE)
    finally:
        engine.dispose()


def dump(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table, sorted."""
    with engine.connect() as connection:
        return {
            table.name: sorted((tuple(row) for row in connection.execute(select(table))), key=repr)
            for table in tables.metadata.sorted_tables
        }


def rows(readmodel: ReadModel, table: Any, *columns: str) -> list[tuple[Any, ...]]:
    wanted = [table.c[name] for name in columns]
    with readmodel.read() as connection:
        return [tuple(row) for row in connection.execute(select(*wanted).order_by(*wanted))]


def anchor(name: str, tx: str, **fields: Any) -> dict[tuple[str, ...], Any]:
    return {("event", digest(name)): event(name, tx, **fields)}


def test_an_event_becomes_its_rows(database: str) -> None:
    chain = Chain()
    record = event(
        "e1",
        "t1",
        epcs=[ITEM],
        quantities=[{"id": LOT, "qty": "12.5", "unit": "KGM"}],
        parent="https://id.gs1.org/00/095212340000000013",
        step="shipping",
        read_point="https://id.gs1.org/414/9521234543213",
        **{"from": [{"type": "possessing_party", "id": FARM}]},
        transactions=[{"id": "urn:po:1"}],
        findings=[{"code": "NOT_HOLDER", "message": "m", "where": "/epcList/0"}],
        carbon=[{"stage": "transport", "co2e_mg": 7, "stated_by": FARM}],
    )
    with projecting(database) as (readmodel, projector):
        height = projector.apply([chain.block(Tx("t1", {("event", digest("e1")): record}))])
        assert height == readmodel.height() == 1
        assert rows(readmodel, tables.event_ids, "identifier", "role", "quantity", "unit") == [
            ("https://id.gs1.org/00/095212340000000013", "parent", None, None),
            (LOT, "qty", "12.5", "KGM"),
            (ITEM, "epc", None, None),
        ]
        assert rows(readmodel, tables.event_parties, "id", "direction") == [(FARM, "from")]
        assert rows(readmodel, tables.event_documents, "id", "type") == [("urn:po:1", "")]
        assert rows(readmodel, tables.findings, "event_seq", "code") == [(1, "NOT_HOLDER")]
        assert rows(readmodel, tables.carbon, "stage", "co2e_mg") == [("transport", 7)]
        assert ("bizStep", "shipping") in rows(readmodel, tables.vocabulary, "kind", "value")
        [(stored,)] = rows(readmodel, tables.events, "record")
        assert orjson.loads(stored) == record


def test_only_valid_transactions_of_the_namespace_count(database: str) -> None:
    chain = Chain()
    block = chain.block(
        Tx("good", anchor("a", "good")),
        Tx("conflict", anchor("b", "conflict"), code=11),
        Tx("good", anchor("c", "good"), code=9),
    )
    with projecting(database) as (readmodel, projector):
        projector.apply([block])
        assert rows(readmodel, tables.events, "hash") == [(digest("a"),)]
        assert rows(readmodel, tables.transactions, "tx_id", "code") == [
            ("conflict", 11),
            ("good", 0),  # the duplicate id did not overwrite the transaction it repeats
        ]
        assert rows(readmodel, tables.blocks, "tx_count", "valid_count") == [(3, 1)]


def test_events_are_numbered_in_capture_order_not_in_key_order(database: str) -> None:
    names = [f"e{n}" for n in range(20)]
    writes = {}
    for index, name in enumerate(names):
        writes |= anchor(name, "t1", index=index)
    with projecting(database) as (readmodel, projector):
        projector.apply([Chain().block(Tx("t1", writes))])
        found = rows(readmodel, tables.events, "seq", "hash")
        assert found == [(n, digest(name)) for n, name in enumerate(names, 1)]


@pytest.mark.parametrize("together", [True, False])
def test_a_voided_event_keeps_its_number_and_shows_who_voided_it(
    database: str, together: bool
) -> None:
    chain = Chain()
    first = chain.block(Tx("t1", anchor("e1", "t1", findings=[{"code": "X", "message": "m"}])))
    declaration = event("e1", "t2", error={"time_ms": 5, "reason": "typo", "corrective": []})
    second = chain.block(
        Tx(
            "t2",
            {
                ("event", digest("e1")): event("e1", "t1", voided_by=digest("e1")),
                ("error", digest("e1")): declaration,
            },
        )
    )
    with projecting(database) as (readmodel, projector):
        for blocks in [[first, second]] if together else [[first], [second]]:
            projector.apply(blocks)
        assert rows(
            readmodel, tables.events, "seq", "declaration", "voided_by", "error_reason", "findings"
        ) == [(1, 0, digest("e1"), None, 0), (2, 1, None, "typo", 0)]
        assert rows(readmodel, tables.findings, "code") == []


def test_the_last_version_of_a_record_stands_and_deletions_delete(database: str) -> None:
    chain = Chain()

    def party(status: str) -> dict[str, Any]:
        return {
            "id": FARM, "msp": "Org1MSP", "name": "Farm", "roles": ["producer"],
            "country": "CO", "status": status,
        }  # fmt: skip

    blocks = [
        chain.block(
            Tx("a", {("party", FARM): party("active"), ("balance", LOT, FARM): {"on_hand": "1"}})
        ),
        chain.block(Tx("b", {("party", FARM): party("suspended"), ("balance", LOT, FARM): None})),
    ]
    with projecting(database) as (readmodel, projector):
        projector.apply(blocks)
        assert rows(readmodel, tables.participants, "id", "status") == [(FARM, "suspended")]
        assert rows(readmodel, tables.balances, "lot") == []


HOSTILE: list[tuple[tuple[str, ...], Any]] = [
    (("event", digest("x")), b"not json"),
    (("event", digest("x")), b'{"projection":{}}'),
    (("event", digest("x")), b'{"projection":{"type":"X","epcs":[1]},"tx_id":"t1","index":0}'),
    (("event", digest("x")), event("x", "t1", index="0")),
    (("event", digest("x")), event("x", "t1", findings=[{"no": "code"}])),
    (("event", digest("x")), event("x", "t1", quantities=[{"qty": "1"}])),
    (("event", digest("x")), event("x", "t1", step="a\x00b", epcs=["urn:\x00:x"])),
    (("event", digest("x")), orjson.dumps(event("x", "t1", time_ms=1)).replace(
        b'"time_ms":1,', b'"time_ms":1180591620717411303424,')),
    (("event", digest("x")), b'{"projection":{"type":"\\ud800"},"tx_id":"t1","index":0}'),
    (("event", digest("x")), event("x", "t1", step={"not": "text"})),
    (("party", FARM), {"id": FARM}),
    (("party", "a", "b"), {"id": FARM, "msp": "m", "name": "n", "status": "s", "roles": []}),
    (("balance", LOT), {"on_hand": "1"}),
    (("grant", "one"), {}),
    (("unheard-of", "x", "y"), {"a": 1}),
    (("plain key",), {"a": 1}),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_nothing_a_block_holds_stops_the_projection(database: str, number: int) -> None:
    key, value = HOSTILE[number]
    chain = Chain()
    blocks = [chain.block(Tx("t1", {key: value, **anchor("good", "t1", index=1)}))]
    blocks.append(chain.block(Tx("t2", anchor("after", "t2"))))
    with projecting(database) as (readmodel, projector):
        assert projector.apply(blocks) == 2
        hashes = {row[0] for row in rows(readmodel, tables.events, "hash")}
        assert {digest("good"), digest("after")} <= hashes
        if digest("x") not in hashes and key[0] == "event":
            problems = rows(readmodel, tables.other_records, "kind", "problem")
            assert problems[0][0] == "event"
            assert problems[0][1]


IDENTIFIERS = [f"https://id.gs1.org/01/09521234543213/21/S{n}" for n in range(6)]
operations = st.lists(
    st.tuples(
        st.sampled_from(["event", "void", "item", "delete", "party", "invalid"]),
        st.integers(0, 5),
        st.integers(0, 3),
    ),
    min_size=1,
    max_size=25,
)


def history(steps: list[tuple[str, int, int]]) -> list[Any]:
    """Blocks in which events appear once, are voided later, and records come and go."""
    chain, blocks = Chain(), []
    known: dict[str, Any] = {}
    pending: list[Tx] = []
    for number, (kind, which, size) in enumerate(steps):
        tx = f"tx{number}"
        writes: dict[tuple[str, ...], Any] = {}
        if kind == "event":
            name = f"e{number}"
            writes = anchor(name, tx, epcs=IDENTIFIERS[: size + 1], step=f"step{which}")
            known[name] = writes[("event", digest(name))]
        elif kind == "void" and known:
            name = sorted(known)[which % len(known)]
            writes = {
                ("event", digest(name)): {**known[name], "voided_by": digest(name)},
                ("error", digest(name)): event(name, tx, error={"time_ms": 1, "corrective": []}),
            }
        elif kind == "item":
            writes = {("item", IDENTIFIERS[which]): {"id": IDENTIFIERS[which], "n": number}}
        elif kind == "delete":
            writes = {("item", IDENTIFIERS[which]): None}
        elif kind == "party":
            slug = f"urn:tracemark:party:p{which}"
            writes = {
                ("party", slug): {
                    "id": slug, "msp": "M", "name": tx, "roles": ["carrier"], "status": "active",
                }
            }  # fmt: skip
        pending.append(Tx(tx, writes, code=11 if kind == "invalid" else 0))
        if len(pending) > size:
            blocks.append(chain.block(*pending))
            pending = []
    blocks.append(chain.block(*pending))
    return blocks


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(operations, st.lists(st.integers(1, 7), min_size=1, max_size=20))
def test_how_blocks_are_batched_changes_nothing(
    database: str, steps: list[tuple[str, int, int]], sizes: list[int]
) -> None:
    blocks = history(steps)
    dumps = []
    with projecting(database) as (readmodel, projector):
        for batches in ([1] * len(blocks), sizes * len(blocks)):
            readmodel.reset()
            projector.forget()
            position = 0
            for size in batches:
                if position < len(blocks):
                    projector.apply(blocks[position : position + size])
                    position += size
            assert readmodel.height() == len(blocks)
            dumps.append(dump(readmodel.engine))
    assert dumps[0] == dumps[1]


def test_a_rebuild_gives_the_same_tables(database: str) -> None:
    blocks = history([("event", 1, 2), ("item", 1, 0), ("void", 0, 0), ("party", 2, 1)] * 5)
    with projecting(database) as (readmodel, projector):
        projector.apply(blocks)
        before = dump(readmodel.engine)
        readmodel.reset()
        projector.forget()
        assert readmodel.height() == 0
        projector.apply(blocks[:3])
        projector.apply(blocks[3:])
        assert dump(readmodel.engine) == before


def test_blocks_already_projected_are_skipped(database: str) -> None:
    blocks = history([("event", 1, 0)] * 6)
    with projecting(database) as (readmodel, projector):
        projector.apply(blocks[:4])
        before = dump(readmodel.engine)
        assert projector.apply(blocks[:3]) == 4
        assert dump(readmodel.engine) == before
        assert projector.apply(blocks[2:]) == len(blocks)


def test_two_gateways_on_one_database_project_each_block_once(database: str) -> None:
    blocks = history([("event", n % 5, 1) for n in range(60)])
    failures: list[BaseException] = []

    def follow() -> None:
        try:
            with projecting(database) as (_readmodel, projector):
                height = 0
                while height < len(blocks):
                    height = projector.apply(blocks[height : height + 3])
        except BaseException as error:
            failures.append(error)

    with projecting(database) as (readmodel, _projector):
        threads = [threading.Thread(target=follow) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert failures == []
        assert readmodel.height() == len(blocks)
        numbers = [row[0] for row in rows(readmodel, tables.events, "seq")]
        assert numbers == list(range(1, len(numbers) + 1))


def test_blocks_of_another_ledger_are_refused(database: str) -> None:
    ours, other = history([("event", 1, 0)] * 4), history([("item", 1, 0)] * 6)
    with projecting(database) as (readmodel, projector):
        projector.apply(ours[:3])
        with pytest.raises(ForeignLedger):
            projector.apply(other[3:])
        with pytest.raises(ForeignLedger):
            projector.apply(ours[4:])
        assert readmodel.height() == 3


def test_a_failure_inside_the_transaction_leaves_the_tables_as_they_were(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = history([("event", 1, 0)] * 4)
    with projecting(database) as (readmodel, projector):
        projector.apply(blocks[:2])
        before = dump(readmodel.engine)
        with readmodel.engine.connect() as connection:  # a table is in the way of the last write
            connection.execute(text("ALTER TABLE vocabulary RENAME TO vocabulary_away"))
            connection.commit()
        projector.forget()
        with pytest.raises(Exception, match="vocabulary"):
            projector.apply(blocks[2:])
        with readmodel.engine.connect() as connection:
            connection.execute(text("ALTER TABLE vocabulary_away RENAME TO vocabulary"))
            connection.commit()
        assert dump(readmodel.engine) == before
        assert projector.apply(blocks[2:]) == len(blocks)


def test_an_older_projection_is_rebuilt(database: str) -> None:
    with projecting(database) as (readmodel, projector):
        projector.apply(history([("event", 1, 0)] * 3))
        with readmodel.engine.connect() as connection:
            connection.execute(text("UPDATE projection SET version = 0"))
            connection.commit()
        assert readmodel.prepare() == 0
        assert rows(readmodel, tables.events, "seq") == []
