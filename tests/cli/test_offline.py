"""Commands that need no network: documents, hashes, QR codes, homes."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import zxingcpp
from click.testing import CliRunner
from PIL import Image

from chaincode.caller import caller_of
from cli.documents import sources
from cli.errors import UsageFault
from cli.main import tracemark
from cli.qr import scan_url
from cli.stories import default_folder
from nodes.embedded import EmbeddedNetwork
from nodes.identity.signer import load_signer, signer_from_msp
from nodes.payloads import NewPayload
from tests.cli.test_core import run

COFFEE = default_folder() / "coffee"
HARVEST = COFFEE / "01-halo-ridge-harvest.jsonld"
NETWORK = default_folder().parents[2] / "network-config" / "demo.yaml"


def invoke(*args: str, stdin: str | bytes | None = None) -> tuple[int, str, str]:
    done = CliRunner().invoke(tracemark, list(args), input=stdin)
    assert "Traceback" not in done.output
    return done.exit_code, done.stdout, done.stderr


def run_json(*args: str) -> Any:
    code, out, err = invoke(*args, "--json")
    assert code == 0, (out, err)
    return json.loads(out)


# -- epcis ----------------------------------------------------------------------------------------


def test_every_story_document_is_valid() -> None:
    code, out, _ = invoke("epcis", "validate", str(default_folder()), "--json")
    found = json.loads(out)
    assert code == 0
    assert found["valid"]
    assert sum(len(document["events"]) for document in found["documents"]) == 90


def test_one_line_for_each_event() -> None:
    code, out, _ = invoke("epcis", "validate", str(HARVEST))
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == ["ok", "ok"]
    assert "/epcisBody/eventList/1" in out


def test_a_fault_is_named_with_its_pointer(tmp_path: Path) -> None:
    """A fault reported for the document that its author then has to look for."""
    document = json.loads(HARVEST.read_text())
    document["epcisBody"]["eventList"][1]["eventTime"] = "yesterday"
    file = tmp_path / "bad.jsonld"
    file.write_text(json.dumps(document))
    code, out, _ = invoke("epcis", "validate", str(file))
    assert code == 1
    assert "FAULT" in out
    assert "/epcisBody/eventList/1/eventTime" in out
    code, quiet, _ = invoke("epcis", "validate", str(file), "--quiet")
    assert "ok " not in quiet


@pytest.mark.parametrize("body", ["", "{", '{"a":1,"a":2}', "[1]", "null", '{"type":"x"}', "\x00"])
def test_what_is_no_document_is_a_fault_not_a_traceback(body: str) -> None:
    code, out, _ = invoke("epcis", "validate", "-", stdin=body)
    assert code == 1
    assert out.startswith("FAULT <stdin>")
    code, out, _ = invoke("epcis", "hash", "-", stdin=body)
    assert code == 1


def test_hash_ignores_order_and_whitespace() -> None:
    """A hash over bytes instead of over what the event says (CBV 2.0 §8.9)."""
    document = json.loads(HARVEST.read_text())
    events = document["epcisBody"]["eventList"]
    document["epcisBody"]["eventList"] = [dict(reversed(list(e.items()))) for e in events]
    _, first, _ = invoke("epcis", "hash", str(HARVEST), "--json")
    _, second, _ = invoke("epcis", "hash", "-", "--json", stdin=json.dumps(document, indent=7))
    hashes = [entry["hash"] for entry in json.loads(first)]
    assert hashes == [entry["hash"] for entry in json.loads(second)]
    assert all(h.startswith("ni:///sha-256;") and h.endswith("?ver=CBV2.0") for h in hashes)


def test_hash_reads_a_pipe() -> None:
    done = run("epcis", "hash", "-", stdin=HARVEST.open())
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 2


def test_folders_are_read_in_name_order_and_files_must_exist(tmp_path: Path) -> None:
    """Documents sent in the file system's order, which is none."""
    for name in ("b.json", "a.jsonld", "c.txt"):
        (tmp_path / name).write_text("{}")
    assert [Path(s.name).name for s in sources([str(tmp_path)])] == ["a.jsonld", "b.json"]
    with pytest.raises(UsageFault, match="does not exist"):
        sources([str(tmp_path / "nothing")])
    with pytest.raises(UsageFault, match="once"):
        sources(["-", "-"])
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(UsageFault, match="holds no"):
        sources([str(empty)])


# -- qr -------------------------------------------------------------------------------------------


def test_qr_image_reads_back_as_the_scan_address(tmp_path: Path) -> None:
    """A code that leads elsewhere than it says."""
    png, svg = tmp_path / "code.png", tmp_path / "code.svg"
    code, out, _ = invoke(
        "qr", "(01)09521301000014(21)MC26-0087", "--base", "https://scan.example.com",
        "--png", str(png), "--svg", str(svg), "--json",
    )  # fmt: skip
    assert code == 0
    expected = "https://scan.example.com/01/09521301000014/21/MC26-0087"
    assert json.loads(out)["url"] == expected
    assert zxingcpp.read_barcodes(Image.open(png))[0].text == expected
    assert svg.read_text().lstrip().startswith(("<?xml", "<svg"))


def test_qr_in_the_terminal_needs_no_terminal() -> None:
    done = run("qr", "urn:epc:id:sgtin:9521301.000001.MC26-0087")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "http://127.0.0.1:8000/01/09521301000014/21/MC26-0087"
    assert "█" in done.stdout


@pytest.mark.parametrize("wrong", ["", "12345", "urn:tracemark:party:finca-alta", "9521301000015"])
def test_qr_of_what_has_no_page_is_usage(wrong: str) -> None:
    with pytest.raises(UsageFault):
        scan_url(wrong, "http://127.0.0.1:8000")


# -- homes ----------------------------------------------------------------------------------------


def test_a_network_is_made_once(tmp_path: Path) -> None:
    """A second `init` that replaces the keys of a living network."""
    home = str(tmp_path / "home")
    code, out, _ = invoke("network", "init", str(NETWORK), "--home", home, "--json")
    assert code == 0
    assert [o["msp_id"] for o in json.loads(out)["organisations"]] == [
        "GrowersMSP", "TradeMSP", "BrandsMSP", "AuthorityMSP",
    ]  # fmt: skip
    before = (tmp_path / "home" / "network.json").read_bytes()
    code, _, err = invoke("network", "init", str(NETWORK), "--home", home)
    assert code == 2
    assert "already holds a network" in err
    assert (tmp_path / "home" / "network.json").read_bytes() == before


def test_an_organisation_joins(tmp_path: Path) -> None:
    home = str(tmp_path / "home")
    invoke("network", "init", str(NETWORK), "--home", home)
    entry = tmp_path / "roasters.yaml"
    entry.write_text(
        "name: roasters\nmsp_id: RoastersMSP\ndomain: roasters.example\ncountry: AT\n"
        "node: {port: 7055}\n"
    )
    code, out, _ = invoke("network", "add-org", str(entry), "--home", home, "--json")
    assert code == 0
    assert json.loads(out)["policy"] == {"n": 2, "of": 5}
    code, _, err = invoke("network", "add-org", str(entry), "--home", home)
    assert code == 2
    assert "already" in err


@pytest.mark.parametrize("text", ["name: x\n", "[1, 2]", "name: [", "name: A B\nmsp_id: X\n"])
def test_a_wrong_organisation_file_is_usage(tmp_path: Path, text: str) -> None:
    home = str(tmp_path / "home")
    invoke("network", "init", str(NETWORK), "--home", home)
    entry = tmp_path / "org.yaml"
    entry.write_text(text)
    assert invoke("network", "add-org", str(entry), "--home", home)[0] == 2


def test_backup_and_restore_give_the_same_home(tmp_path: Path) -> None:
    home, copy, archive = (str(tmp_path / name) for name in ("home", "copy", "home.tar"))
    invoke("network", "init", str(NETWORK), "--home", home)
    assert invoke("network", "backup", archive, "--home", home)[0] == 0
    assert invoke("network", "backup", archive, "--home", home)[0] == 2, "overwrote a backup"
    assert invoke("network", "restore", archive, "--home", copy)[0] == 0
    assert invoke("network", "restore", archive, "--home", home)[0] == 2, "overwrote a home"
    done = subprocess.run(["diff", "-r", home, copy], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_a_node_gets_a_new_key_and_orphans_are_found(tmp_path: Path) -> None:
    """A rotation that loses payloads; orphans that no command shows."""
    home = tmp_path / "home"
    invoke("network", "init", str(NETWORK), "--home", str(home))
    new = NewPayload(b"{}", bytes(32), f"ni:///sha-256;{'ab' * 32}?ver=CBV2.0", "urn:x:farm")
    two_days_ago = time.time_ns() // 1_000_000 - 48 * 3_600_000
    folder = home / "nodes" / "growers" / "payloads"
    with EmbeddedNetwork.open(home) as network:
        store = network.node("GrowersMSP").payloads
        store._vault.clock_ms = lambda: two_days_ago
        commitment = store.put(new)
    before = (folder / "node.key").read_bytes()
    shown = run_json("network", "rotate-key", "growers", "--home", str(home))
    assert shown == {"msp_id": "GrowersMSP", "rewrapped": 1}
    assert (folder / "node.key").read_bytes() != before
    with EmbeddedNetwork.open(home) as network:
        assert network.node("GrowersMSP").payloads.verify(commitment).payload == b"{}"
        code, _, err = invoke("network", "orphans", "--home", str(home))
        assert code == 2, "two processes on one store"
        assert "stop that process first" in err
    assert invoke("network", "rotate-key", "nobody", "--home", str(home))[0] == 2
    orphans = ("network", "orphans", "--home", str(home))
    assert invoke(*orphans, "--grace-hours", "0.5")[0] == 2
    assert run_json(*orphans, "--grace-hours", "72")["orphans"] == []
    [found] = run_json(*orphans)["orphans"]
    assert (found["msp_id"], found["commitment"]) == ("GrowersMSP", commitment)
    assert run_json(*orphans, "--collect")["collected"] is True
    assert run_json(*orphans)["orphans"] == []


def test_a_user_s_key_leaves_the_home(tmp_path: Path) -> None:
    """A key that stays behind where it was to be handed over; a second user over the first."""
    home, out = tmp_path / "home", tmp_path / "line2"
    invoke("network", "init", str(NETWORK), "--home", str(home))
    user = ("network", "issue-user", "growers", "line2", "--home", str(home))
    made = run_json(*user, "--party", "9521101000009", "--out", str(out))
    assert made["tracemark.party"] == "https://id.gs1.org/417/9521101000009"
    signer = signer_from_msp("GrowersMSP", out)
    assert caller_of("GrowersMSP", signer.certificate).party == made["tracemark.party"]
    kept = home / "organizations" / "growers" / "users" / "line2" / "msp"
    assert list(kept.rglob("*_sk")) == []
    assert (kept / "signcerts").is_dir()
    assert invoke(*user)[0] == 2, "replaced a user's certificate unasked"
    assert invoke(*user, "--renew", "--out", str(out))[0] == 2, "wrote over a key"
    assert invoke(*user, "--renew", "--party", "9521101000001")[0] == 2, "wrong check digit"
    assert invoke(*user, "--renew")[0] == 0
    assert load_signer(home, "growers", "line2").certificate != signer.certificate
    revoke = ("network", "revoke-user", "growers")
    assert run_json(*revoke, "line2", "--home", str(home))["revoked"]
    assert invoke(*revoke, "nobody", "--home", str(home))[0] == 2


def test_fsck_of_what_is_no_home_finds_that(tmp_path: Path) -> None:
    code, out, _ = invoke("network", "fsck", "--home", str(tmp_path / "none"), "--json")
    assert code == 1
    assert json.loads(out)["findings"][0]["code"] == "HOME_UNUSABLE"


def test_up_without_a_network_says_how_to_make_one(tmp_path: Path) -> None:
    code, _, err = invoke("network", "up", "--home", str(tmp_path / "none"))
    assert code == 2
    assert "network init" in err


def test_local_keys_need_an_organisation(tmp_path: Path) -> None:
    home = str(tmp_path / "home")
    invoke("network", "init", str(NETWORK), "--home", home)
    assert invoke("key", "create", "admin", "--home", home)[0] == 2
    assert invoke("key", "create", "admin", "--home", home, "--org", "nobody")[0] == 2
    code, out, _ = invoke("key", "create", "admin", "--home", home, "--org", "growers", "--json")
    made = json.loads(out)
    assert code == 0
    assert made["key"].startswith("tmk_")
    assert made["ou"] == "admin"


def test_demo_reset_spares_a_folder_that_is_no_home(tmp_path: Path) -> None:
    """`--reset --home ~` emptying somebody's home directory."""
    (tmp_path / "thesis.txt").write_text("years of work")
    code, _, err = invoke("demo", "run", "--once", "--reset", "--home", str(tmp_path))
    assert code == 2
    assert "not deleted" in err
    assert (tmp_path / "thesis.txt").exists()
