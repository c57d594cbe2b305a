"""Following the ledger: resume, rebuild, a database that is gone for a while, a lost file."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fabric_protos.common import common_pb2
from sqlalchemy import text

from gateway.database import HEADS, MIGRATIONS, open_engine, upgrade, writing
from gateway.errors import DatabaseUnavailable
from gateway.readmodel import follow, tables
from gateway.readmodel.follow import Follower
from gateway.readmodel.project import Projector
from gateway.readmodel.store import ReadModel
from tests.gateway.blocks import NAMESPACE, Chain, Tx
from tests.gateway.postgres import Postgres
from tests.gateway.test_projection import anchor, rows


class Ledger:
    """A growing chain of blocks, delivered as the ledger port does."""

    def __init__(self) -> None:
        self.chain = Chain()
        self.all: list[common_pb2.Block] = []
        self.grown = threading.Condition()
        self.fail_after: int | None = None

    def height(self) -> int:
        return len(self.all)

    def grow(self, count: int) -> None:
        with self.grown:
            for _ in range(count):
                name = f"e{len(self.all)}"
                self.all.append(self.chain.block(Tx(name, anchor(name, name))))
            self.grown.notify_all()

    def blocks(self, start: int) -> _Stream:
        return _Stream(self, start)


class _Stream:
    def __init__(self, ledger: Ledger, start: int) -> None:
        self._ledger, self._next, self._closed = ledger, start, False

    def __iter__(self) -> Iterator[common_pb2.Block]:
        while True:
            with self._ledger.grown:
                while self._next >= len(self._ledger.all) and not self._closed:
                    self._ledger.grown.wait(0.05)
            if self._closed:
                return
            if self._ledger.fail_after is not None and self._next >= self._ledger.fail_after:
                self._ledger.fail_after = None
                raise ConnectionError("the stream broke")
            yield self._ledger.all[self._next]
            self._next += 1

    def close(self) -> None:
        self._closed = True


@contextmanager
def following(url: str, ledger: Ledger, batch: int = 8) -> Iterator[tuple[ReadModel, Follower]]:
    engine = open_engine(url, pool=4)
    readmodel = ReadModel(engine)
    follower = Follower(readmodel, Projector(readmodel, NAMESPACE), ledger, batch)
    follower.start()
    try:
        yield readmodel, follower
    finally:
        follower.close()
        engine.dispose()


def until(true: Callable[[], Any], what: str, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.02)


def test_it_catches_up_and_keeps_up(database: str) -> None:
    ledger = Ledger()
    ledger.grow(50)
    with following(database, ledger) as (readmodel, follower):
        assert readmodel.wait_for(50, 30)
        ledger.grow(7)
        assert readmodel.wait_for(57, 30)
        assert readmodel.wait_for("e56", 5)
        assert not readmodel.wait_for("never", 0.05)
        assert not readmodel.wait_for(1000, 0.05)
        status = follower.status()
        assert (status.height, status.ledger_height, status.lag) == (57, 57, 0)
        assert status.problem == ""
    with following(database, ledger) as (readmodel, _):
        ledger.grow(3)
        assert readmodel.wait_for(60, 30)
        assert len(rows(readmodel, tables.events, "seq")) == 60


def test_a_broken_stream_is_taken_up_where_it_was(database: str) -> None:
    ledger = Ledger()
    ledger.grow(40)
    ledger.fail_after = 17
    with following(database, ledger) as (readmodel, _):
        assert readmodel.wait_for(40, 30)
        assert len(rows(readmodel, tables.events, "seq")) == 40


def test_a_rebuild_starts_at_block_0_and_ends_at_the_height(database: str) -> None:
    ledger = Ledger()
    ledger.grow(20)
    with following(database, ledger) as (readmodel, follower):
        assert readmodel.wait_for(20, 30)
        with writing(readmodel.engine) as connection:
            connection.execute(text("DELETE FROM events"))
        follower.rebuild()
        until(lambda: len(rows(readmodel, tables.events, "seq")) == 20, "rebuilt")
        assert readmodel.height() == 20


def test_a_database_that_is_gone_for_a_while_costs_time_and_nothing_else() -> None:
    try:
        server = Postgres()
    except FileNotFoundError:
        pytest.skip("NO POSTGRESQL on this machine: the outage test did not run")
    server.start()
    try:
        ledger = Ledger()
        ledger.grow(10)
        with following(server.url, ledger) as (readmodel, follower):
            assert readmodel.wait_for(10, 30)
            server.stop()
            ledger.grow(10)
            until(lambda: follower.status().problem, "the outage is reported")
            assert readmodel.known_height == 10
            with pytest.raises(DatabaseUnavailable):
                readmodel.height()
            assert not readmodel.wait_for("e15", 0.2)
            server.start()
            assert readmodel.wait_for(20, 60)
            until(lambda: not follower.status().problem, "the recovery is reported")
            assert len(rows(readmodel, tables.events, "seq")) == 20
    finally:
        server.close()


def test_a_lost_or_damaged_sqlite_file_is_made_again(tmp_path: Path) -> None:
    ledger = Ledger()
    ledger.grow(10)
    path = tmp_path / "readmodel.sqlite"
    with following(f"sqlite:///{path}", ledger) as (readmodel, _):
        assert readmodel.wait_for(10, 30)
        path.unlink()
        ledger.grow(1)
        until(lambda: path.exists() and readmodel.known_height == 11, "made again")
        until(lambda: len(rows(readmodel, tables.events, "seq")) == 11, "all rows")
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    path.write_bytes(b"this is not a database, and long enough to be read as one" * 100)
    with following(f"sqlite:///{path}", ledger) as (readmodel, _):
        assert readmodel.wait_for(11, 30)
    assert list(tmp_path.glob("*.damaged-*"))


def test_a_shorter_ledger_is_another_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres: Postgres
) -> None:
    monkeypatch.setattr(follow, "SHORT_LEDGER_GRACE_S", 0.1)
    long, short = Ledger(), Ledger()
    long.grow(9)
    short.grow(4)
    url = f"sqlite:///{tmp_path}/readmodel.sqlite"
    with following(url, long) as (readmodel, _):
        assert readmodel.wait_for(9, 30)
    with following(url, short) as (readmodel, _):  # its own file: rebuilt without asking
        until(lambda: readmodel.known_height == 4, "rebuilt from the shorter ledger")
    shared = postgres.database("shorter")
    with following(shared, long) as (readmodel, _):
        assert readmodel.wait_for(9, 30)
    with following(shared, short) as (readmodel, follower):
        until(lambda: "rebuild" in follower.status().problem, "refused and said why")
        assert readmodel.height() == 9
        follower.rebuild()
        until(lambda: readmodel.known_height == 4, "rebuilt when told to")


def test_closing_is_quick_and_clean(tmp_path: Path) -> None:
    ledger, before = Ledger(), set(threading.enumerate())
    began = time.monotonic()
    with following(f"sqlite:///{tmp_path}/r.sqlite", ledger) as (_, follower):
        until(lambda: follower.status().problem == "", "started")
    assert time.monotonic() - began < 10
    left = set(threading.enumerate()) - before
    assert not any(thread.name.startswith("readmodel") for thread in left)


# -- migrations -------------------------------------------------------------------------------


def test_migrations_make_exactly_the_tables(empty_database: str) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from gateway import state_tables

    engine = open_engine(empty_database)
    for branch, metadata in (
        ("ledger_tables", tables.metadata),
        ("state_tables", state_tables.metadata),
    ):
        upgrade(engine, branch)
        upgrade(engine, branch)  # and again: nothing to do
        names = frozenset(metadata.tables)

        def ours(name: str | None, kind: str, _: Any, names: frozenset[str] = names) -> bool:
            return kind != "table" or name in names

        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"include_name": ours})
            assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_the_newest_migration_is_the_one_the_code_asks_for() -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    for branch, head in HEADS.items():
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.set_main_option("path_separator", "newline")
        config.set_main_option("version_locations", str(MIGRATIONS / branch))
        assert ScriptDirectory.from_config(config).get_current_head() == head


def test_gateways_that_start_together_upgrade_once(empty_database: str) -> None:
    failures: list[BaseException] = []

    def prepare() -> None:
        engine = open_engine(empty_database)
        try:
            ReadModel(engine).prepare()
        except BaseException as error:
            failures.append(error)
        finally:
            engine.dispose()

    threads = [threading.Thread(target=prepare) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
