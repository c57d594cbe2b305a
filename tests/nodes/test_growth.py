"""A network that changes: revocation, new organisations, new endorsement policy."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509

from nodes.config import organisation_group
from nodes.config_update import organisation_update, sign_update, update_envelope
from nodes.embedded import EmbeddedNetwork
from nodes.endorse import now_ms
from nodes.errors import ConfigError, DescriptionError, GatewayError
from nodes.identity import issue_user, load_signer, revoke_user
from nodes.identity.attributes import decode
from nodes.identity.folders import organisation_folder
from nodes.identity.issue import revoke_certificate
from nodes.network import add_organisation, init_network, make_organisation
from nodes.transaction import parse_transaction
from tests.nodes.client import (
    HANDLERS,
    Client,
    agree,
    description,
    new_organisation,
    open_home,
    order,
    reopen,
    tx_id_of,
)
from tests.nodes.forge import Forgery, node_signers


def eventually(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def accepted(client: Client) -> bool:
    try:
        return client.submit("put", "k", "1") == "VALID"
    except GatewayError as error:
        if "revoked" not in str(error):
            raise
        return False


def test_revocation_on_a_running_network(network: EmbeddedNetwork, alice: Client) -> None:
    bob = Client.of(network, "farm", "bob")
    pending = bob.signed("put", "pending", "1")
    assert accepted(bob)
    revoke_user(network.home, "farm", "bob")
    eventually(lambda: not accepted(bob))
    assert accepted(alice)
    with pytest.raises(GatewayError, match="revoked"):
        bob.send(pending)
    # Ordered all the same, by an orderer that does not look: the nodes refuse it.
    assert order(network, pending) == ["BAD_CREATOR_SIGNATURE"]
    agree(network)


def test_who_waits_learns_of_a_revocation(network: EmbeddedNetwork) -> None:
    """Submitted before and ordered after the revocation: the waiter must get the verdict."""
    bob = Client.of(network, "farm", "bob")
    envelope = bob.signed("put", "k", "1")
    future = network.service.commit_future(tx_id_of(envelope))
    revoke_user(network.home, "farm", "bob")
    network.reconcile()
    assert order(network, envelope) == ["BAD_CREATOR_SIGNATURE"]
    assert future.result(5).result == 4


def test_revocation_while_closed(network: EmbeddedNetwork) -> None:
    home = network.home
    network.close()
    revoke_user(home, "mill", "bob")
    again = open_home(home)
    assert not accepted(Client.of(again, "mill", "bob"))
    assert accepted(Client.of(again, "mill", "alice"))
    again = reopen(again)
    assert not accepted(Client.of(again, "mill", "bob"))
    again.close()


def test_revoked_node_no_longer_endorses(network: EmbeddedNetwork, alice: Client) -> None:
    """The endorsements of a node whose key was lost must not count."""

    forged = Forgery(alice.signer, node_signers(network, "MillMSP", "ShopMSP"))
    assert order(network, forged.envelope()) == ["VALID"]
    shop = organisation_folder(network.home, "shop")
    revoke_certificate(shop, network.node("ShopMSP").signer.certificate)
    network.reconcile()
    assert order(network, forged.envelope()) == ["ENDORSEMENT_POLICY_FAILURE"]


def test_revoked_blocks_stay_valid_on_replay(network: EmbeddedNetwork) -> None:
    """What was valid when it was ordered stays valid when a new node replays it."""
    bob = Client.of(network, "farm", "bob")
    assert bob.submit("put", "k", "1") == "VALID"
    revoke_user(network.home, "farm", "bob")
    network.reconcile()
    home = network.home
    network.close()
    shutil.rmtree(home / "nodes" / "shop" / "ledger")
    again = open_home(home)
    assert Client.of(again).evaluate("get", "k") == b"1"
    agree(again)
    again.close()


def test_user_issued_later(network: EmbeddedNetwork) -> None:
    signer = issue_user(
        network.home, "mill", "carol", attrs={"tracemark.party": "urn:tracemark:party:carol"}
    )
    assert Client(network, signer).submit("put", "k", "1") == "VALID"
    attributes = decode_of(signer.certificate)
    assert attributes == {
        "hf.EnrollmentID": "carol",
        "tracemark.party": "urn:tracemark:party:carol",
    }
    assert load_signer(network.home, "MillMSP", "carol").serialized == signer.serialized


def decode_of(pem: bytes) -> dict[str, str]:
    return decode(x509.load_pem_x509_certificate(pem))


def grown(network: EmbeddedNetwork) -> None:
    """The new organisation reads the past, endorses, and its endorsement counts."""
    port = Client.of(network, "port", "alice")
    assert port.evaluate("get", "before") == b"1"
    assert port.submit("put", "after", "2") == "VALID"
    endorsed = port.signed("put", "chosen", "3", organisations=["PortMSP", "ShopMSP"])
    assert port.send(endorsed).result(20).result == 0
    assert network.node("PortMSP").ledger.height == network.height
    agree(network)


def test_organisation_added_while_running(network: EmbeddedNetwork, alice: Client) -> None:
    assert alice.submit("put", "before", "1") == "VALID"
    add_organisation(network.home, new_organisation("port"))
    eventually(
        lambda: (
            "PortMSP" in network.views
            and "PortMSP" in str(network.running_nodes()[0].definitions.by_name["tracemark"].policy)
        )
    )
    grown(network)


def test_organisation_added_while_closed(network: EmbeddedNetwork, alice: Client) -> None:
    assert alice.submit("put", "before", "1") == "VALID"
    home = network.home
    network.close()
    add_organisation(home, new_organisation("port"))
    again = open_home(home)
    grown(again)
    again = reopen(again)
    assert Client.of(again, "port").evaluate("get", "after") == b"2"
    grown(again)
    again.close()


def test_many_organisations_in_turn(tmp_path: Path) -> None:
    """A majority of the present administrators is enough at every size."""
    home = tmp_path / "home"
    init_network(description(["one"], n=1), home)
    with EmbeddedNetwork.open(home, HANDLERS) as network:
        for name in ("two", "three", "four", "five"):
            add_organisation(home, new_organisation(name))
            network.reconcile()
        assert len(network.config.application_msps) == 5
        assert Client.of(network, "five").submit("put", "k", "1") == "VALID"
        agree(network)


def test_transaction_endorsed_under_the_old_policy(network: EmbeddedNetwork, alice: Client) -> None:
    """In flight while the definition changed: the recorded read of it makes a conflict."""
    envelope = alice.signed("put", "k", "1")
    add_organisation(network.home, new_organisation("port"))
    network.reconcile()
    assert order(network, envelope) == ["MVCC_READ_CONFLICT"]


def test_organisation_cannot_be_added_twice(network: EmbeddedNetwork) -> None:
    with pytest.raises(DescriptionError, match="already"):
        add_organisation(network.home, new_organisation("mill"))


def test_update_without_a_majority(network: EmbeddedNetwork) -> None:
    """One administrator alone cannot let a fourth organisation in."""

    newcomer = new_organisation("port")
    make_organisation(network.home, newcomer)
    group = organisation_group(network.home, newcomer)
    update = organisation_update(network.config, "PortMSP", group)
    admins = [load_signer(network.home, org, "admin") for org in ("farm", "mill")]
    users = [load_signer(network.home, org, "alice") for org in ("farm", "mill", "shop")]
    height = network.height
    for signers in ([], admins[:1], [admins[0], admins[0]], users):
        envelope = update_envelope(admins[0], "trace", sign_update(update, signers), now_ms())
        with pytest.raises(ConfigError, match="not signed by enough"):
            network.update_config(parse_transaction(envelope.SerializeToString()))
    assert network.height == height
    envelope = update_envelope(admins[0], "trace", sign_update(update, admins), now_ms())
    network.update_config(parse_transaction(envelope.SerializeToString()))
    assert "PortMSP" in network.config.application_msps
    # The same update again no longer fits the versions it read.
    with pytest.raises(ConfigError, match="version"):
        network.update_config(parse_transaction(envelope.SerializeToString()))


def test_foreign_revocation_list(network: EmbeddedNetwork) -> None:
    """An administrator may change only the MSP of the own organisation."""

    mill = network.description.organisation("mill")
    revoke_user(network.home, "mill", "bob")
    update = organisation_update(network.config, "MillMSP", organisation_group(network.home, mill))
    farm_admin = load_signer(network.home, "farm", "admin")
    envelope = update_envelope(farm_admin, "trace", sign_update(update, [farm_admin]), now_ms())
    # Or the watcher was quicker and mill's own administrator has signed it already.
    with pytest.raises(ConfigError, match=r"not signed by enough|version"):
        network.update_config(parse_transaction(envelope.SerializeToString()))
