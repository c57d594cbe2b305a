"""Commands against the running gateway with the three stories in it."""

from __future__ import annotations

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cli.main import tracemark
from nodes.payloads import ErasureReceipt
from tests.cli.test_core import REPOSITORY
from tests.stories.loaded import Loaded

COFFEE = "https://id.gs1.org/01/09521105000012/10/AL260318"
WATCH = "(01)09521301000014(21)MC26-0087"


class Shell:
    """`tracemark` as one user of the loaded network."""

    def __init__(self, network: Loaded, organisation: str, user: str) -> None:
        self._options = ["--url", network.url, "--api-key", network.key(organisation, user)]

    def __call__(self, *args: str, stdin: str | bytes | None = None) -> tuple[int, str, str]:
        done = CliRunner().invoke(tracemark, [*args, *self._options], input=stdin)
        assert "Traceback" not in done.output
        assert not isinstance(done.exception, Exception), done.exception
        return done.exit_code, done.stdout, done.stderr

    def json(self, *args: str, code: int = 0, stdin: str | bytes | None = None) -> Any:
        found, out, err = self(*args, "--json", stdin=stdin)
        assert found == code, (found, out, err)
        return json.loads(out)


@pytest.fixture
def auditor(network: Loaded) -> Shell:
    return Shell(network, "authority", "auditor")


@pytest.fixture
def regulator(network: Loaded) -> Shell:
    return Shell(network, "authority", "regulator")


@pytest.fixture(autouse=True)
def own_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TRACEMARK_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("TRACEMARK_CONFIG", str(tmp_path / "config"))


# -- reading --------------------------------------------------------------------------------------


def test_participants(auditor: Shell) -> None:
    everyone = auditor.json("participant", "list")
    assert len(everyone) >= 27
    farmers = auditor.json("participant", "list", "--role", "producer", "--country", "et")
    assert {p["name"] for p in farmers} >= {"Halo Ridge Farm", "Wonberta Spring Farm"}
    code, out, _ = auditor("participant", "show", "urn:tracemark:party:halo-ridge-farm")
    assert code == 0
    assert "delegation given" in out


def test_a_list_longer_than_a_page_is_read_to_its_end(network: Loaded) -> None:
    """A network of 101 parties of which the last is never shown."""
    whole = [p["id"] for p in network.auditor.records("/v1/participants")]
    pages = [p["id"] for p in network.auditor.records("/v1/participants", {"limit": 4})]
    assert pages == whole
    gtins = [p["gtin"] for p in network.auditor.records("/v1/products", {"limit": 3})]
    assert len(gtins) == len(set(gtins)) >= 13


def test_products(auditor: Shell) -> None:
    assert len(auditor.json("product", "list")) >= 13
    assert auditor.json("product", "show", "9521105000012")["mass_g"] == "250"


def test_trace_draws_farm_and_shelf(auditor: Shell) -> None:
    code, out, _ = auditor("trace", COFFEE)
    assert code == 0
    assert out.splitlines()[0].startswith("Alsterlicht Hochland")
    for word in ("Halo Ridge Farm", "recorded by Highland Cloud", "retail_selling", "1250 KGM"):
        assert word in out
    found = auditor.json("trace", WATCH, "--direction", "up")
    assert found["direction"] == "up"


def test_every_identifier_form_traces_alike(auditor: Shell) -> None:
    """A user who pastes what the scanner gave and is told there is no such item."""
    forms = (
        WATCH,
        "urn:epc:id:sgtin:9521301.000001.MC26-0087",
        "https://id.maisonclairmont.example/01/9521301000014/21/MC26-0087",
        "https://id.gs1.org/01/09521301000014/21/MC26-0087",
    )
    assert len({auditor.json("trace", form)["id"] for form in forms}) == 1


def test_audit_passes_and_strict_asks_about_gaps(auditor: Shell) -> None:
    """Four weeks at sea: nothing wrong, and a question for who asks about every five days."""
    found = auditor.json("audit", COFFEE)
    assert {check["outcome"] for check in found["checks"]} <= {"pass", "warn"}
    code, out, _ = auditor("audit", COFFEE, "--history", "--quiet-days", "5")
    assert code == 0
    assert "mass-balance" in out
    assert "gap  time-gap" in out
    assert auditor("audit", COFFEE, "--strict", "--quiet-days", "5")[0] == 1


def test_carbon(auditor: Shell) -> None:
    code, out, _ = auditor("carbon", COFFEE)
    assert code == 0
    assert "605.26859 kg CO2e" in out
    assert "0 wrong" in out


def test_what_is_not_there_ends_with_6(auditor: Shell) -> None:
    nothing = "https://id.gs1.org/01/09521105000012/10/NOTHING"
    for command in ("trace", "audit", "verify"):
        assert auditor(command, nothing)[0] == 6, command
    assert auditor("product", "show", "9521999000003")[0] in (3, 6)


def test_status_of_a_running_gateway(network: Loaded) -> None:
    done = CliRunner().invoke(
        tracemark,
        ["network", "status", "--json", "--url", network.url, "--home", str(network.home)],
    )
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert found["gateway"]["ready"] is True
    assert len(found["organisations"]) == 4


# -- certificates ---------------------------------------------------------------------------------


def test_certificate_life(network: Loaded, auditor: Shell, tmp_path: Path) -> None:
    """Issued, verified, suspended, reinstated, revoked: each state reaches the verifier."""
    brand = Shell(network, "brands", "watchmaker")
    file = tmp_path / "watch.vc.json"
    made = brand.json(
        "certificate", "issue", WATCH, "--type", "luxury", "--claim", "colour=ivory",
        "--valid-until", "2040-01-01", "--out", str(file),
    )  # fmt: skip
    number = made["id"]
    assert auditor.json("verify", str(file))[0]["overall"] == "valid"
    assert auditor.json("verify", number)[0]["overall"] == "valid"
    brand.json("certificate", "suspend", number, "--reason", "stolen papers")
    assert auditor.json("verify", str(file), code=1)[0]["overall"] == "invalid"
    brand.json("certificate", "reinstate", number, "--reason", "found again")
    assert auditor.json("verify", made["url"])[0]["overall"] == "valid"
    brand.json("certificate", "revoke", number, "--reason", "wrong case number")
    code, out, _ = auditor("verify", "-", stdin=file.read_bytes())
    assert code == 1
    assert out.startswith("INVALID")
    shown = auditor.json("certificate", "show", number)
    assert shown["status"]["status"] == "revoked"
    assert shown["credential"]["id"] == number
    listed = auditor.json("certificate", "list", WATCH)["certificates"]
    assert number in {entry["id"] for entry in listed}


def test_tampered_file_is_invalid_and_offline_never_says_valid(
    network: Loaded, auditor: Shell, tmp_path: Path
) -> None:
    """A verdict of `valid` without a ledger, or for a changed file."""
    file = tmp_path / "coffee.vc.json"
    auditor("certificate", "show", network.certificates["coffee"], "--out", str(file))
    assert auditor.json("verify", str(file), "--offline", code=1)[0]["overall"] == "not-proven"
    file.write_text(
        file.read_text().replace("Ethiopia", "Elsewhere").replace("AL260318", "AL26031B")
    )
    for options in ((), ("--offline",)):
        found = auditor.json("verify", str(file), *options, code=1)[0]
        assert found["overall"] == "invalid"


def test_scan_address_verifies_every_certificate_of_the_item(
    network: Loaded, auditor: Shell
) -> None:
    scan = network.url + COFFEE.removeprefix("https://id.gs1.org")
    assert [v["overall"] for v in auditor.json("verify", scan)] == ["valid"]


def test_a_claim_over_a_ledger_fact_is_refused(network: Loaded) -> None:
    brand = Shell(network, "brands", "watchmaker")
    code, _, err = brand(
        "certificate", "issue", WATCH, "--type", "luxury", "--claim", "madeCountry=FR"
    )
    assert code == 3
    assert "madeCountry" in err


def test_a_carrier_cannot_certify(network: Loaded) -> None:
    carrier = Shell(network, "trade", "sea-carrier")
    code, _, err = carrier("certificate", "issue", COFFEE, "--type", "food")
    assert code == 5
    assert "ROLE_NOT_ALLOWED" in err


# -- changing -------------------------------------------------------------------------------------


def document(lot: str, kilograms: float) -> dict[str, Any]:
    """Parchment coffee that the co-operative makes; valid and new for each `lot`."""
    return {
        "@context": ["https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"],
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": "2026-11-02T10:00:00+03:00",
        "epcisBody": {
            "eventList": [
                {
                    "type": "ObjectEvent",
                    "eventTime": "2026-11-02T09:00:00+03:00",
                    "eventTimeZoneOffset": "+03:00",
                    "action": "ADD",
                    "quantityList": [
                        {
                            "epcClass": f"urn:epc:class:lgtin:9521101.000002.{lot}",
                            "quantity": kilograms,
                            "uom": "KGM",
                        }
                    ],
                    "bizStep": "creating_class_instance",
                    "disposition": "active",
                }
            ]
        },
    }


def test_anchor_a_folder_and_resume(network: Loaded, tmp_path: Path) -> None:
    """A repeated run that sends everything again, or anchors twice."""
    cooperative = Shell(network, "growers", "cooperative")
    for number in range(3):
        file = tmp_path / f"{number}.jsonld"
        file.write_text(json.dumps(document(f"CLI-{number}", 10 + number)))
    first = cooperative.json("anchor", str(tmp_path))
    assert [d["already"] for d in first["documents"]] == [False] * 3
    assert first["events"] == 3
    second = cooperative.json("anchor", str(tmp_path))
    assert [d["already"] for d in second["documents"]] == [True] * 3
    third = cooperative.json("anchor", str(tmp_path), "--again")
    assert [d["already"] for d in third["documents"]] == [False] * 3
    assert third["refused"] == 0
    history = network.auditor.get("/v1/trace/urn%3Aepc%3Aclass%3Algtin%3A9521101.000002.CLI-1")
    assert history["counts"]["events"] == 1


def test_anchor_prints_each_refused_event(network: Loaded, tmp_path: Path) -> None:
    cooperative = Shell(network, "growers", "cooperative")
    good, bad = document("CLI-OK", 1), document("CLI-BAD", 1)
    shipping = good["epcisBody"]["eventList"][0] | {
        "action": "OBSERVE",
        "bizStep": "shipping",
        "quantityList": [
            {"epcClass": "urn:epc:class:lgtin:9521101.000002.CLI-OK", "quantity": 9, "uom": "KGM"}
        ],
        "destinationList": [
            {"type": "possessing_party", "destination": "https://id.gs1.org/417/9521102000008"}
        ],
    }
    good["epcisBody"]["eventList"].append(shipping)
    first, second = tmp_path / "1.json", tmp_path / "2.json"
    first.write_text(json.dumps(good))
    second.write_text(json.dumps(bad))
    code, out, _ = cooperative("anchor", str(tmp_path))
    assert code == 3
    assert "1.json/epcisBody/eventList/1  NOT_ENOUGH" in out
    assert "1 documents were not sent" in out
    proceeded = cooperative.json("anchor", str(tmp_path), "--proceed", "--keep-going", code=3)
    assert [d["anchored"] for d in proceeded["documents"]] == [1, 1]


def test_anchor_from_a_pipe_and_what_is_no_document(network: Loaded) -> None:
    cooperative = Shell(network, "growers", "cooperative")
    body = json.dumps(document("CLI-PIPE", 2))
    assert cooperative.json("anchor", "-", stdin=body)["events"] == 1
    code, out, _ = cooperative("anchor", "-", stdin='{"type":"EPCISDocument"}')
    assert code == 3
    assert "<stdin>" in out


def test_wrong_and_missing_keys_end_with_5(network: Loaded, tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text(json.dumps(document("CLI-KEY", 2)))
    wrong = "tmk_" + "a" * 16 + "_" + "b" * 43
    for options in ([], ["--api-key", wrong], ["--api-key", "nonsense"]):
        args = ["anchor", str(file), "--url", network.url, *options]
        assert CliRunner().invoke(tracemark, args).exit_code == 5, options


def test_a_party_is_registered_suspended_and_reinstated(regulator: Shell) -> None:
    party = "urn:tracemark:party:cli-test-farm"
    regulator.json(
        "participant", "register", party, "--name", "CLI test farm", "--msp", "GrowersMSP",
        "--role", "producer", "--country", "et",
    )  # fmt: skip
    code, _, err = regulator(
        "participant", "register", party, "--name", "again", "--msp", "GrowersMSP",
        "--role", "producer", "--country", "ET",
    )  # fmt: skip
    assert code == 3
    assert "PARTY_EXISTS" in err
    done = regulator.json("participant", "suspend", party, "--reason", "inspection overdue")
    assert done["result"]["status"] == "suspended"
    done = regulator.json("participant", "reinstate", party, "--reason", "inspected")
    assert done["result"]["status"] == "active"
    done = regulator.json("participant", "roles", party, "producer", "processor")
    assert done["result"]["roles"] == ["processor", "producer"]
    licence = ["participant", "licence", party, "ORG-1"]
    assert regulator(*licence)[0] == 2
    regulator.json(*licence, "--kind", "food", "--issuer", "Office", "--until", "2030-01-01")
    done = regulator.json(*licence, "--revoke")
    assert done["result"]["licences"][0]["status"] == "revoked"


def test_only_a_regulator_suspends(auditor: Shell) -> None:
    code, _, err = auditor("participant", "suspend", "9521101000009", "--reason", "because")
    assert code in (3, 5)
    assert "error:" in err


def test_delegation_given_and_revoked(network: Loaded) -> None:
    roaster = Shell(network, "brands", "roaster")
    given = roaster.json("participant", "delegate", "9521106000004", "--until", "2030-01-01")
    assert given["result"]["status"] == "active"
    gone = roaster.json("participant", "delegate", "9521106000004", "--revoke")
    assert gone["result"]["status"] == "revoked"
    assert roaster("participant", "delegate", "9521106000004")[0] == 2


def anchored(network: Loaded, lot: str, **fields: Any) -> str:
    """A new event of the co-operative's own; its hash (64 hex)."""
    body = document(lot, 5)
    body["@context"].append({"tm": "urn:tracemark:ns:"})
    body["epcisBody"]["eventList"][0].update(fields)
    cooperative = Shell(network, "growers", "cooperative")
    assert cooperative.json("anchor", "-", stdin=json.dumps(body))["events"] == 1
    traced = cooperative.json("trace", f"urn:epc:class:lgtin:9521101.000002.{lot}")
    [event] = [node for node in traced["nodes"] if node["node"] == "event"]
    return str(event["id"]).removeprefix("ni:///sha-256;").partition("?")[0]


def test_a_grant_is_given_listed_and_revoked(network: Loaded) -> None:
    cooperative = Shell(network, "growers", "cooperative")
    roaster = Shell(network, "brands", "roaster")
    scope = anchored(network, "CLI-GRANT")
    party = roaster.json("key", "show")["party"]
    given = cooperative.json(
        "grant", "give", party, scope, "--until", "2030-01-01", "--legal-basis", "contract 44"
    )
    assert (given["result"]["scope"], given["result"]["status"]) == (scope, "active")
    whole = f"ni:///sha-256;{scope}?ver=CBV2.0"
    for options in ([], ["--scope", scope], ["--scope", whole], ["--grantee", party]):
        assert scope in {g["scope"] for g in roaster.json("grant", "list", *options)}, options
    code, out, _ = cooperative("grant", "list", "--scope", scope)
    assert code == 0
    assert "2030-01-01" in out
    assert roaster("grant", "give", party, scope)[0] == 5, "granted what is another's"
    assert cooperative("grant", "revoke", party, scope)[0] == 0
    [left] = cooperative.json("grant", "list", "--scope", scope)
    assert left["status"] == "revoked"


def test_a_payload_is_erased_with_a_receipt(network: Loaded, tmp_path: Path) -> None:
    """An erasure without being asked, by somebody else, or whose receipt is lost."""
    cooperative = Shell(network, "growers", "cooperative")
    event, file = anchored(network, "CLI-ERASE"), tmp_path / "receipt.json"
    erase = ("payload", "erase", event, "--reason", "mistake")
    assert cooperative("payload", "receipt", event)[0] == 6
    assert cooperative(*erase, stdin="n\n")[0] == 130
    assert Shell(network, "brands", "watchmaker")(*erase, "--yes")[0] == 5
    assert cooperative("payload", "erase", event, "--reason", "whim", "--yes")[0] == 2
    code, out, _ = cooperative(*erase, "--yes", "--out", str(file))
    assert code == 0
    assert "GrowersMSP" in out
    kept = json.loads(file.read_text())
    assert cooperative.json("payload", "receipt", event) == kept
    assert ErasureReceipt.from_json(kept).event_hash.find(event) >= 0
    entries = cooperative.json("payload", "reads", f"ni:///sha-256;{event}?ver=CBV2.0")
    assert [entry["action"] for entry in entries][-1] == "erase"
    assert "refuse" in cooperative("payload", "reads", event)[1]
    traced = cooperative.json("trace", "urn:epc:class:lgtin:9521101.000002.CLI-ERASE")
    states = [n["evidence"]["payload"] for n in traced["nodes"] if n["node"] == "event"]
    assert states == ["erased"]


def test_a_carbon_record_is_verified_by_another(network: Loaded, auditor: Shell) -> None:
    record = {
        "stage": "production",
        "activity": {"amount": "2", "unit": "KWH"},
        "factor": {"id": "grid", "version": "2025", "value_mg_per_unit": "1000"},
        "co2e_mg": 2000,
    }
    event = anchored(network, "CLI-CARBON", **{"tm:carbon": [record]})
    verify = ("carbon", "verify", event, "0", "--statement", "meter readings seen")
    assert Shell(network, "growers", "cooperative")(*verify)[0] == 5
    assert auditor(*verify)[0] == 0
    assert auditor(*verify)[0] == 3, "verified twice"
    assert auditor("carbon", "verify", event, "7", "--statement", "x")[0] in (3, 6)
    lot = "urn:epc:class:lgtin:9521101.000002.CLI-CARBON"
    shown = auditor.json("carbon", "show", lot)
    assert shown["recomputation"]["verified_by_third_party"] == 1
    assert auditor.json("carbon", lot) == shown


def test_a_running_network_is_backed_up(network: Loaded, tmp_path: Path) -> None:
    """A backup that needs the gateway stopped, or one that does not verify."""
    archive, copy = str(tmp_path / "live.tar"), str(tmp_path / "copy")
    backup = ["network", "backup", archive, "--home", str(network.home)]
    runner = CliRunner()
    assert runner.invoke(tracemark, backup).exit_code == 2
    assert runner.invoke(tracemark, [*backup, "--live"]).exit_code == 0
    assert runner.invoke(tracemark, ["network", "restore", archive, "--home", copy]).exit_code == 0
    done = runner.invoke(tracemark, ["network", "fsck", "--home", copy, "--json"])
    assert done.exit_code == 0, done.output


def test_product_defined_by_its_owner_only(network: Loaded) -> None:
    roaster = Shell(network, "brands", "roaster")
    made = roaster.json(
        "product", "define", "9521105000029", "--name", "Espresso, 500 g", "--mass-g", "500"
    )
    assert made["result"]["mode"] == "enforce"
    other = Shell(network, "brands", "watchmaker")
    code, _, err = other("product", "define", "9521105000029", "--name", "Mine now")
    assert code == 5
    assert "PRODUCT_OWNED" in err


def test_keys_are_made_used_and_revoked(network: Loaded) -> None:
    admin = Shell(network, "growers", "admin")
    made = admin.json(
        "key", "create", "line2", "--party", "https://id.gs1.org/417/9521101000009",
        "--label", "packing line 2", "--valid-days", "30",
    )  # fmt: skip
    own = ["key", "show", "--url", network.url, "--api-key", made["key"], "--json"]
    shown = CliRunner().invoke(tracemark, own)
    assert json.loads(shown.stdout)["party"] == "https://id.gs1.org/417/9521101000009"
    assert made["id"] in {entry["id"] for entry in admin.json("key", "list")}
    assert "tmk_" not in admin("key", "list")[1]
    admin.json("key", "revoke", made["id"])
    assert CliRunner().invoke(tracemark, own).exit_code == 5


def test_another_web_server_is_told_from_a_gateway() -> None:
    """A page of some other program taken for an answer, or a traceback over it."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>hello</html>")

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        done = CliRunner().invoke(tracemark, ["participant", "list", "--url", url, "--json"])
        server.shutdown()
    assert done.exit_code == 70
    assert json.loads(done.stdout)["error"]["code"] == "NO_GATEWAY"


# -- whole processes ------------------------------------------------------------------------------


def spawn(*args: str, **kwargs: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "cli.main", *args], cwd=REPOSITORY, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kwargs,
    )  # fmt: skip


def test_demo_killed_half_way_goes_on_and_keeps_its_data(tmp_path: Path) -> None:
    """A demo that has to be reset after the lid was closed, or that loads everything twice."""
    home = tmp_path / "home"
    args = ("demo", "run", "--once", "--port", "0", "--home", str(home), "--json")
    first = spawn(*args)
    journal = home / "gateway" / "demo-anchored.jsonl"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and first.poll() is None:
        if journal.exists() and len(journal.read_text().splitlines()) >= 5:
            break
        time.sleep(0.02)
    first.kill()
    first.communicate()
    second = subprocess.run(
        [sys.executable, "-m", "cli.main", *args], cwd=REPOSITORY, capture_output=True, text=True,
        timeout=240,
    )  # fmt: skip
    assert second.returncode == 0, second.stderr
    loaded = json.loads(second.stdout)
    assert [story["verdict"] for story in loaded["stories"]] == ["valid"] * 3
    assert {entry["role"] for entry in loaded["keys"]} == {
        "producer", "processor", "carrier", "warehouse", "certifier",
        "customs", "brand", "retailer", "regulator", "auditor",
    }  # fmt: skip
    told = subprocess.run(
        [sys.executable, "-m", "cli.main", *args[:-1]], cwd=REPOSITORY, capture_output=True,
        text=True, timeout=240,
    )  # fmt: skip
    assert "No server was left running: scripts/demo starts the gateway" in told.stdout
    assert "TRACEMARK_URL" not in told.stdout
    third = subprocess.run(
        [sys.executable, "-m", "cli.main", *args], cwd=REPOSITORY, capture_output=True, text=True,
        timeout=240,
    )  # fmt: skip
    again = json.loads(third.stdout)
    assert [s["certificate"] for s in again["stories"]] == [
        s["certificate"] for s in loaded["stories"]
    ]
    fsck = CliRunner().invoke(tracemark, ["network", "fsck", "--home", str(home), "--json"])
    report = json.loads(fsck.stdout)
    assert fsck.exit_code == 0, report["findings"]
    assert report["counts"]["events"] == 90


def test_up_serves_until_it_is_stopped(tmp_path: Path) -> None:
    """Ctrl-C that prints a traceback or leaves the home locked."""
    home = str(tmp_path / "home")
    runner = CliRunner()
    description = str(REPOSITORY / "network-config" / "demo.yaml")
    assert runner.invoke(tracemark, ["network", "init", description, "--home", home]).exit_code == 0
    server = spawn("network", "up", "--home", home, "--port", "0", "--json")
    try:
        assert server.stdout is not None
        text = ""
        for line in server.stdout:
            text += line
            if line.startswith("}"):
                break
        url = json.loads(text)["url"]
        status = ["network", "status", "--url", url, "--home", home, "--json"]
        assert runner.invoke(tracemark, status).exit_code == 0
        load = ["demo", "load", "--home", home, "--url", url, "--json"]
        loaded = runner.invoke(tracemark, load)
        assert loaded.exit_code == 0, loaded.output
        assert {s["verdict"] for s in json.loads(loaded.stdout)["stories"]} == {"valid"}
        second = runner.invoke(tracemark, ["network", "fsck", "--home", home])
        assert second.exit_code == 2, "worked on a home that is open"
        assert str(server.pid) in second.stderr
    finally:
        server.send_signal(signal.SIGINT)
        _, err = server.communicate(timeout=60)
    assert "Traceback" not in err
    assert server.returncode in (0, 130)
    assert runner.invoke(tracemark, ["network", "fsck", "--home", home]).exit_code == 0
    assert os.path.exists(home)
