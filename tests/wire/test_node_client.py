"""The official Fabric Gateway client for Node.js works against the network, unchanged.

The scenarios are in ``node-client/conformance.mjs``. The client is installed from the lock file
into a cache folder (``npm ci``), so the first run needs the npm registry; where Node.js or npm is
missing, every scenario is skipped with its reason.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from nodes.identity import revoke_user
from nodes.identity.certificates import (
    certificate_pem,
    issue_identity,
    key_pem,
    new_authority,
)
from tests.wire.conftest import CHAINCODE, CHANNEL, MSP_IDS, ServerProcess, tls_root

PACKAGE = Path(__file__).parent / "node-client"
SCRIPT = PACKAGE / "conformance.mjs"
ALONE = {"revoked"}
OLDEST_NODE = (20, 19)  # the client's elliptic curves are an ES module that it requires
SCENARIOS = [
    name
    for name in re.findall(
        r"^    async (\w+)\(\) \{$", SCRIPT.read_text(encoding="utf-8"), re.MULTILINE
    )
    if name not in ALONE
]


def cache_folder() -> Path:
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    lock = (PACKAGE / "package-lock.json").read_bytes()
    return base / "tracemark-tests" / f"node-client-{hashlib.sha256(lock).hexdigest()[:16]}"


@pytest.fixture(scope="session")
def node_client() -> Path:
    """A folder with the script and the installed client."""
    for tool in ("node", "npm"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed: the official Gateway client was NOT tested")
    if node_version() < OLDEST_NODE:
        pytest.skip("Node.js is older than 20.19: the official Gateway client was NOT tested")
    folder = cache_folder()
    if not (folder / "node_modules").is_dir():
        install(folder)
    shutil.copy(SCRIPT, folder)
    return folder


def node_version() -> tuple[int, ...]:
    told = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)
    return tuple(int(part) for part in told.stdout.strip().lstrip("v").split("-")[0].split("."))


def install(folder: Path) -> None:
    making = folder.with_name(f"{folder.name}.{os.getpid()}")
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(PACKAGE / name, making)
    # The optional part is a native module for hardware keys, which these tests do not use.
    command = ["npm", "ci", "--omit=optional", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=making, capture_output=True, text=True, timeout=300)
    if done.returncode != 0:
        shutil.rmtree(making, ignore_errors=True)
        pytest.fail(f"npm ci failed:\n{done.stdout}\n{done.stderr}")
    try:
        making.rename(folder)
    except OSError:  # another run was faster
        shutil.rmtree(making, ignore_errors=True)


@pytest.fixture(scope="session")
def config(server: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The script's configuration: one known user, one to be revoked, one from a foreign CA."""
    folder = tmp_path_factory.mktemp("node-client")
    authority = new_authority("ca.farm.example", "farm.example", "PT")
    stranger = issue_identity(authority, "alice@farm.example", "client", {})
    (folder / "stranger.pem").write_bytes(certificate_pem(stranger.certificate))
    (folder / "stranger.key").write_bytes(key_pem(stranger.key))
    told: dict[str, Any] = {
        "address": server.addresses[0],
        "tlsRoot": str(tls_root(server.home)),
        "channel": CHANNEL,
        "chaincode": CHAINCODE,
        "mspIds": list(MSP_IDS),
        "user": user(server.home, "alice"),
        "revoked": user(server.home, "mallory"),
        "stranger": {
            "mspId": MSP_IDS[0],
            "certificate": str(folder / "stranger.pem"),
            "key": str(folder / "stranger.key"),
        },
    }
    file = folder / "config.json"
    file.write_text(json.dumps(told), encoding="utf-8")
    return file


def user(home: Path, name: str) -> dict[str, str]:
    msp = home / "organizations" / "farm" / "users" / name / "msp"
    (certificate,) = (msp / "signcerts").iterdir()
    (key,) = (msp / "keystore").iterdir()
    return {"mspId": MSP_IDS[0], "certificate": str(certificate), "key": str(key)}


def run(folder: Path, config: Path, *scenarios: str) -> dict[str, dict[str, Any]]:
    done = subprocess.run(
        ["node", "conformance.mjs", str(config), *scenarios],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
    )
    told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert told, f"the script said nothing:\n{done.stderr}"
    return {result["name"]: result for result in told}


@pytest.fixture(scope="session")
def results(node_client: Path, config: Path) -> dict[str, dict[str, Any]]:
    return run(node_client, config)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_official_client(scenario: str, results: dict[str, dict[str, Any]]) -> None:
    """Catches any answer that Fabric's own client would not understand or would misread."""
    assert scenario in results, "the script ended before this scenario"
    assert results[scenario]["ok"], results[scenario].get("error")


def test_revoked_certificate_is_refused(
    node_client: Path,
    config: Path,
    server: ServerProcess,
    results: dict[str, dict[str, Any]],
) -> None:
    """Catches a node that goes on trusting a certificate after its revocation."""
    revoke_user(server.home, "farm", "mallory")
    deadline = time.monotonic() + 10
    while True:  # the list reaches the channel within about a second
        result = run(node_client, config, "revoked")["revoked"]
        if result["ok"] or time.monotonic() > deadline:
            break
        time.sleep(0.5)
    assert result["ok"], result.get("error")


def test_lock_file_names_no_registry() -> None:
    """Catches a lock file that ties the tests to one machine's package mirror."""
    lock = json.loads((PACKAGE / "package-lock.json").read_text(encoding="utf-8"))
    packages = lock["packages"]
    assert not [name for name, entry in packages.items() if "resolved" in entry]
    assert packages["node_modules/@hyperledger/fabric-gateway"]["version"].startswith("1.12.")
    assert all(entry.get("integrity") for name, entry in packages.items() if name)
