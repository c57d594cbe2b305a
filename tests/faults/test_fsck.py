"""fsck finds every kind of damage, names it rightly, and finds nothing in a sound home."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from rocksdict import Rdict

from chaincode.records import key
from gateway.epcis.hash import event_hash
from gateway.epcis.prepare import payload_parts
from nodes.blocks import (
    COMMIT_HASH,
    SIGNATURES,
    TRANSACTIONS_FILTER,
    build_body,
    metadata_bytes,
    metadata_slots,
    orderer_metadata,
    parse_body,
)
from nodes.errors import AlreadyOpen
from nodes.fsck import CODES, Report, check
from nodes.identity import revoke_user
from nodes.ledger import Ledger, _options, history_prefix
from nodes.network import NodeAddress, Organisation, add_organisation
from nodes.payloads import PayloadStore, commitment_of
from nodes.payloads.chain_state import Record
from nodes.payloads.database import BODY, HEAD, LOG
from nodes.rwset import state_prefix
from tests.faults.home import GTIN, OWNER, harvest, opened

NAMESPACE = "tracemark"
Harm = Callable[[Path], None]


def hash_check(payload: bytes, record: Record) -> str:
    context, event = payload_parts(payload)
    return "" if event_hash(event, context) == record["hash"] else "It is another event's."


def found(home: Path, **options: object) -> Report:
    return check(home, event_check=hash_check, **options)  # type: ignore[arg-type]


def flip(raw: bytes, place: int = -1) -> bytes:
    changed = bytearray(raw)
    changed[place] ^= 0x01
    return bytes(changed)


def ledger_folder(home: Path, org: str = "farm") -> Path:
    return home / "nodes" / org / "ledger"


def change(folder: Path, name: bytes, value: Callable[[bytes], bytes] | None) -> None:
    """Rewrite (or with None delete) one record, past everything that guards it."""
    db = Rdict(str(folder), _options())
    try:
        if value is None:
            del db[name]
        else:
            db[name] = value(db[name])
    finally:
        db.close()


def block_key(kind: bytes, number: int) -> bytes:
    return kind + number.to_bytes(8, "big")


def first_event(home: Path) -> tuple[str, Record]:
    """Key and record of an anchored event."""
    from chaincode.codec import decode

    ledger = Ledger(ledger_folder(home), read_only=True)
    prefix = "\0event\0"
    name, value = next((k, v) for k, _, v in ledger.state(NAMESPACE) if k.startswith(prefix))
    ledger.close()
    return name, decode(value)


def height(home: Path) -> int:
    ledger = Ledger(ledger_folder(home), read_only=True)
    try:
        return ledger.height
    finally:
        ledger.close()


def change_payload(home: Path, family: str, name: bytes, value: bytes | None) -> None:
    store = farm_store(home)
    batch = store._vault.db.batch()
    batch.put(family, name, value) if value is not None else batch.delete(family, name)
    store._vault.db.write(batch, sync=True)
    store.close()


def farm_store(home: Path) -> PayloadStore:
    from nodes.identity.signer import signer_from_msp

    signer = signer_from_msp("FarmMSP", home / "organizations" / "farm" / "peers" / "node" / "msp")
    return PayloadStore(home / "nodes" / "farm" / "payloads", signer)


def stored(home: Path, family: str, name: bytes) -> bytes:
    store = farm_store(home)
    raw = store._vault.db.get(family, name)
    store.close()
    assert raw is not None
    return raw


# -- a sound home ------------------------------------------------------------------------------


def test_a_sound_home_has_no_findings(home: Path) -> None:
    """A check that cries wolf is switched off; and every part must really have been looked at."""
    stages: list[str] = []
    report = found(home, progress=lambda stage, done, total: stages.append(stage))
    assert report.findings == []
    assert report.notes == []
    assert report.counts["events"] == report.counts["payloads"] == 12
    assert report.counts["blocks"] == height(home)
    assert report.counts["ledgers compared"] == 3
    assert report.counts["identities"] == 4 + 6 + 1
    assert {"identities", "blocks", "payloads"} <= set(stages)


def test_it_changes_nothing(home: Path) -> None:
    """A check that writes could destroy what it is asked to judge."""

    def content() -> dict[str, bytes]:
        return {
            str(file.relative_to(home)): file.read_bytes()
            for file in home.rglob("*")
            if file.is_file() and file.name not in {"LOCK", "lock"}
        }

    before = content()
    assert found(home).ok
    assert content() == before


def test_an_open_home_is_left_alone(home: Path) -> None:
    """Checking under a running writer would report its half-way states as damage."""
    with opened(home), pytest.raises(AlreadyOpen):
        found(home)


def test_a_network_that_changed(home: Path) -> None:
    """New organisations, revoked people and refused transactions are history, not damage."""
    add_organisation(
        home,
        Organisation(
            name="mill",
            msp_id="MillMSP",
            domain="mill.example",
            country="PT",
            node=NodeAddress(port=7099),
        ),
    )
    with opened(home) as site:
        site.capture([harvest("AFTER")])
        clerk = site.signer("farm")
        sent = [
            site.ledger.submit(
                clerk, "product:define", {"gtin": GTIN, "name": f"Honey {n}", "mode": "report"}
            )
            for n in range(4)
        ]
        assert {future.commit.result().code for future in sent} == {0, 11}
    revoke_user(home, "shop", "clerk")
    with opened(home) as site:
        site.capture([harvest("LATER")])
    report = found(home)
    assert report.findings == []
    assert report.counts["ledgers compared"] == 4


# -- ledgers -----------------------------------------------------------------------------------


def harm_block(home: Path) -> None:
    change(ledger_folder(home), block_key(b"b", 5), lambda raw: flip(raw, len(raw) // 2))


def harm_header(home: Path) -> None:
    place = 10  # inside the previous block's hash
    change(ledger_folder(home), block_key(b"b", 5), lambda raw: flip(raw, place))


def harm_orderer_signature(home: Path) -> None:
    def break_signature(raw: bytes) -> bytes:
        slots = metadata_slots(raw)
        slots[SIGNATURES] = flip(slots[SIGNATURES])
        return metadata_bytes(slots)

    for org in ("office", "farm", "shop"):
        change(ledger_folder(home, org), block_key(b"m", 5), break_signature)


def harm_code(home: Path) -> None:
    def forgive(raw: bytes) -> bytes:
        slots = metadata_slots(raw)
        slots[TRANSACTIONS_FILTER] = bytes([11]) * len(slots[TRANSACTIONS_FILTER])
        return metadata_bytes(slots)

    change(ledger_folder(home), block_key(b"m", 5), forgive)


def harm_commit_hash(home: Path) -> None:
    def alter(raw: bytes) -> bytes:
        slots = metadata_slots(raw)
        slots[COMMIT_HASH] = flip(slots[COMMIT_HASH])
        return metadata_bytes(slots)

    change(ledger_folder(home), block_key(b"m", 5), alter)


def state_key(home: Path) -> bytes:
    return state_prefix(NAMESPACE) + first_event(home)[0].encode()


def harm_state(home: Path) -> None:
    change(ledger_folder(home), state_key(home), flip)


def harm_state_version(home: Path) -> None:
    change(ledger_folder(home), state_key(home), lambda raw: flip(raw, 0))


def lose_state(home: Path) -> None:
    change(ledger_folder(home), state_key(home), None)


def invent_state(home: Path) -> None:
    db = Rdict(str(ledger_folder(home)), _options())
    db[state_prefix(NAMESPACE) + key("party", "urn:tracemark:party:ghost").encode()] = bytes(14)
    db.close()


def harm_history(home: Path) -> None:
    name = history_prefix(NAMESPACE, first_event(home)[0].encode())
    ledger = Ledger(ledger_folder(home), read_only=True)
    entry = next(k for k, _ in ledger.scan(name, name + b"\xff" * 13))
    ledger.close()
    change(ledger_folder(home), entry, flip)


def harm_index(home: Path) -> None:
    name = b"t" + first_event(home)[1]["tx_id"].encode()
    change(ledger_folder(home), name, lambda raw: flip(raw, 7))


def harm_table_file(home: Path) -> None:
    with opened(home) as site:
        site.network.node("FarmMSP").ledger.flush()
    table = max(ledger_folder(home).glob("*.sst"), key=lambda file: file.stat().st_size)
    raw = table.read_bytes()
    table.write_bytes(flip(raw, len(raw) // 3))


def lose_current_file(home: Path) -> None:
    (ledger_folder(home) / "CURRENT").write_bytes(b"MANIFEST-999999\n")


def harm_order_log(home: Path) -> None:
    log = home / "orderer" / "blocks.log"
    log.write_bytes(flip(log.read_bytes(), log.stat().st_size // 2))


def cut_order_log(home: Path) -> None:
    log = home / "orderer" / "blocks.log"
    log.write_bytes(log.read_bytes()[:-7])


def harm_genesis(home: Path) -> None:
    genesis = home / "orderer" / "genesis.block"
    raw = genesis.read_bytes()
    genesis.write_bytes(flip(raw, len(raw) // 2))


def another_last_block(home: Path) -> None:
    """One organisation is given another, properly signed last block: two histories."""
    from nodes.identity.signer import signer_from_msp

    orderer = signer_from_msp(
        "OrdererMSP", home / "organizations" / "orderer" / "peers" / "sequencer" / "msp"
    )
    last = height(home) - 1
    ledger = Ledger(ledger_folder(home), read_only=True)
    body = parse_body(ledger.block_body(last))
    config = ledger.tip.config_block
    ledger.close()
    other = build_body(last, body.previous_hash, [flip(body.envelopes()[0]), *body.envelopes()[1:]])
    slots, _, _ = orderer_metadata(orderer, other, config)
    change(ledger_folder(home), block_key(b"b", last), lambda _: other.data)
    change(ledger_folder(home), block_key(b"m", last), lambda _: metadata_bytes(slots))


# -- payloads ----------------------------------------------------------------------------------


def commitment(home: Path) -> bytes:
    return bytes.fromhex(first_event(home)[1]["commitment"])


def harm_payload_head(home: Path) -> None:
    name = commitment(home)
    change_payload(home, HEAD, name, flip(stored(home, HEAD, name)))


def harm_payload_body(home: Path) -> None:
    name = commitment(home)
    change_payload(home, BODY, name, flip(stored(home, BODY, name)))


def lose_payload(home: Path) -> None:
    change_payload(home, HEAD, commitment(home), None)


def lose_store(home: Path) -> None:
    import shutil

    shutil.rmtree(home / "nodes" / "farm" / "payloads")


def harm_node_key(home: Path) -> None:
    file = home / "nodes" / "farm" / "payloads" / "node.key"
    text = file.read_text()
    place = text.index('"key": "') + 15
    file.write_text(text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :])


def open_node_key(home: Path) -> None:
    (home / "nodes" / "farm" / "payloads" / "node.key").chmod(0o640)


def harm_receipt(home: Path) -> None:
    name = commitment(home)
    store = farm_store(home)
    store.erase(name.hex(), OWNER)
    store.close()
    head = stored(home, HEAD, name)
    change_payload(home, HEAD, name, head.replace(b"data-subject-request", b"court-order"))


def harm_read_log(home: Path) -> None:
    store = farm_store(home)
    for _ in range(3):
        store.get(commitment(home).hex(), OWNER)
    store.close()
    first = (0).to_bytes(8, "big")
    change_payload(home, LOG, first, stored(home, LOG, first).replace(b"OWNER", b"GRANT"))


def forge_read_log(home: Path) -> None:
    """Somebody without the node's key cuts the log and writes a head that fits."""
    harm_read_log(home)
    store = farm_store(home)
    from nodes.payloads.readlog import LogHead

    entry = store._vault.db.get(LOG, (1).to_bytes(8, "big")) or b""
    old = store.log_head()
    store.close()
    assert old is not None
    first = (0).to_bytes(8, "big")
    change_payload(home, LOG, first, stored(home, LOG, first).replace(b"GRANT", b"OWNER"))
    change_payload(home, LOG, (2).to_bytes(8, "big"), None)
    change_payload(home, "meta", b"log-head", LogHead(2, entry[:32], old.signature).encode())


def anchor_another_projection(home: Path) -> None:
    """The party anchors a projection that its payload does not give."""
    capture_changed(home, lambda entry: entry["projection"].update(country="ES"))


def anchor_another_hash(home: Path) -> None:
    """The party anchors a hash that is not its payload's."""
    capture_changed(home, lambda entry: entry.update(hash=f"ni:///sha-256;{'ab' * 32}?ver=CBV2.0"))


def capture_changed(home: Path, change_entry: Callable[[Record], None]) -> None:
    import json
    import os

    from chaincode.projection import project
    from nodes.payloads import NewPayload

    event, salt = harvest("FORGED"), os.urandom(32)
    payload = json.dumps({"@context": [{"tm": "urn:tracemark:ns:"}], "event": event}).encode()
    entry: Record = {
        "hash": event_hash(event, [{"tm": "urn:tracemark:ns:"}]),
        "commitment": commitment_of(payload, salt),
        "projection": project(event),
    }
    change_entry(entry)
    with opened(home) as site:
        site.store().put(NewPayload(payload, salt, entry["hash"], str(OWNER.party)))
        site.call("farm", "clerk", "event:capture", events=[entry])


# -- identities --------------------------------------------------------------------------------


def harm_certificate(home: Path) -> None:
    folder = home / "organizations" / "farm" / "users" / "clerk" / "msp" / "signcerts"
    file = next(folder.iterdir())
    lines = file.read_text().splitlines()
    lines[5] = lines[5][:-4] + "AAAA"
    file.write_text("\n".join(lines) + "\n")


def exchange_key(home: Path) -> None:
    users = home / "organizations" / "farm" / "users"
    other = (users / "admin" / "msp" / "keystore" / "priv_sk").read_bytes()
    (users / "clerk" / "msp" / "keystore" / "priv_sk").write_bytes(other)


def lose_description(home: Path) -> None:
    (home / "network.json").write_text("{")


@pytest.mark.parametrize(
    ("harm", "codes"),
    [
        (harm_block, {"BLOCK_DAMAGED"}),
        (harm_header, {"CHAIN_BROKEN"}),
        (harm_orderer_signature, {"ORDERER_SIGNATURE", "CHAIN_BROKEN"}),
        (harm_code, {"VALIDITY_CODE"}),
        (harm_commit_hash, {"BLOCK_METADATA"}),
        (harm_state, {"STATE_DIFFERS"}),
        (harm_state_version, {"STATE_DIFFERS"}),
        (lose_state, {"STATE_DIFFERS"}),
        (invent_state, {"STATE_DIFFERS"}),
        (harm_history, {"HISTORY_DIFFERS"}),
        (harm_index, {"INDEX_DIFFERS"}),
        (harm_table_file, {"LEDGER_UNREADABLE"}),
        (lose_current_file, {"LEDGER_UNREADABLE"}),
        (harm_order_log, {"ORDER_LOG_DAMAGED"}),
        (cut_order_log, {"ORDER_LOG_DAMAGED"}),
        (harm_genesis, {"BLOCKS_DIFFER"}),
        (another_last_block, {"BLOCKS_DIFFER"}),
        (harm_payload_head, {"PAYLOAD_CORRUPTED"}),
        (harm_payload_body, {"PAYLOAD_CORRUPTED"}),
        (lose_payload, {"PAYLOAD_MISSING"}),
        (lose_store, {"PAYLOAD_MISSING"}),
        (harm_node_key, {"NODE_KEY"}),
        (open_node_key, {"NODE_KEY"}),
        (harm_receipt, {"RECEIPT_INVALID"}),
        (harm_read_log, {"READ_LOG"}),
        (forge_read_log, {"READ_LOG"}),
        (anchor_another_projection, {"PROJECTION_DIFFERS"}),
        (anchor_another_hash, {"EVENT_HASH"}),
        (harm_certificate, {"IDENTITY_DAMAGED"}),
        (exchange_key, {"IDENTITY_DAMAGED"}),
        (lose_description, {"HOME_UNUSABLE"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_each_harm_is_found_and_named(home: Path, harm: Harm, codes: set[str]) -> None:
    """Damage that goes unnoticed, or is reported as something else, sends people astray."""
    harm(home)
    report = found(home)
    assert codes <= report.codes(), report.findings
    expected = codes | {"INDEX_DIFFERS", "STATE_DIFFERS", "HISTORY_DIFFERS"}
    assert report.codes() <= expected, report.findings
    assert all(finding.where and finding.message for finding in report.findings)


def test_a_node_that_is_behind_is_only_noted(home: Path) -> None:
    """After a crash nodes differ in height; that heals by itself and is no damage."""
    import shutil

    shutil.rmtree(ledger_folder(home, "shop"))
    report = found(home)
    assert report.ok
    assert "shop has no ledger yet" in " ".join(report.notes)
    with opened(home):
        pass
    report = found(home)
    assert report.ok
    assert report.notes == []


@pytest.mark.parametrize(
    "harm", [harm_block, harm_state, harm_table_file], ids=lambda h: h.__name__
)
def test_a_damaged_ledger_is_rebuilt_from_the_log(home: Path, harm: Harm) -> None:
    """What the table of findings tells people to do must work."""
    import shutil

    harm(home)
    shutil.rmtree(ledger_folder(home))
    with opened(home):
        pass
    assert found(home).ok


def test_an_erased_payload_is_sound(home: Path) -> None:
    """An erasure with its receipt is no damage, and the event stays proven."""
    store = farm_store(home)
    store.erase(commitment(home).hex(), OWNER)
    store.close()
    report = found(home)
    assert report.ok
    assert report.counts["receipts"] == 1


def important(file: Path) -> bool:
    """Files every byte of which is verified: certificates, log, genesis block, payload key."""
    certificate = file.suffix in {".pem", ".crt"} and "key" not in file.name
    return certificate or file.name in {"genesis.block", "blocks.log", "node.key"}


def letter_in(raw: bytes, choose: random.Random) -> int:
    """A place away from the ends that holds a letter (line breaks of PEM mean nothing)."""
    places = range(len(raw) // 6, len(raw) * 5 // 6)
    return choose.choice([place for place in places if chr(raw[place]).isalnum()] or [0])


def test_any_byte_of_any_file(home: Path) -> None:
    """A check that dies on the first surprise says nothing about the rest of the home."""
    choose = random.Random(7)
    files = sorted(f for f in home.rglob("*") if f.is_file() and f.stat().st_size)
    files = [f for f in files if f.name not in {"LOCK", "lock"}]
    for file in choose.sample([f for f in files if important(f)], 10) + choose.sample(files, 10):
        raw = file.read_bytes()
        file.write_bytes(flip(raw, letter_in(raw, choose)))
        report = found(home)
        assert report.findings or not important(file), file.relative_to(home)
        file.write_bytes(raw)
    assert found(home).ok


def test_every_code_is_documented() -> None:
    """A code that cannot be looked up, or a row for a code that is gone, is misleading."""
    text = (Path(__file__).parents[2] / "docs" / "design" / "crash.md").read_text()
    section = text.split("## What fsck finds")[1]
    assert set(re.findall(r"^\| `([A-Z_]+)` \|", section, re.M)) == set(CODES)
