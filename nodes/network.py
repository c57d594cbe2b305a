"""The network description and the home folder that is made from it.

One YAML file says who is in the network; from it come the organisations' certificate
authorities, node and user identities, and the channel's genesis block. The home layout::

    <home>/network.json            the description as used (JSON)
    <home>/organizations/<org>/    see nodes.identity.folders
    <home>/nodes/<org>/{ledger,payloads}
    <home>/orderer/                genesis.block and the sequencer's log
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from nodes.errors import DescriptionError
from nodes.identity import attributes as abac
from nodes.identity.certificates import certificate_pem, issue_identity, issue_tls, new_authority
from nodes.identity.folders import (
    OrganisationFolder,
    write_authority,
    write_msp,
    write_public,
    write_signing_identity,
    write_tls,
)
from nodes.identity.issue import write_user

Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
MspId = Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]{1,64}$")]
Domain = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$")]
Country = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
ADMIN: Final = "admin"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class User(_Strict):
    """A user to issue: NodeOU, the party acted for, and further ABAC attributes."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    ou: Literal["client", "admin"] = "client"
    party: str | None = None
    attrs: dict[str, str] = {}

    @property
    def attributes(self) -> dict[str, str]:
        """The ABAC attributes of the certificate."""
        party = {abac.PARTY: self.party} if self.party else {}
        return {**party, **self.attrs}


class NodeAddress(_Strict):
    """Where an organisation's node listens."""

    name: Slug = "node"
    host: str = "localhost"
    port: int = Field(default=7051, ge=1, le=65535)

    @property
    def address(self) -> str:
        """``host:port``."""
        return f"{self.host}:{self.port}"


class Organisation(_Strict):
    """One organisation: its MSP, its node and its users (an admin is added when none is named)."""

    name: Slug
    msp_id: MspId
    domain: Domain
    country: Country
    node: NodeAddress = NodeAddress()
    users: tuple[User, ...] = ()

    @model_validator(mode="after")
    def _unique_users(self) -> Organisation:
        _refuse_duplicates("user name", [user.name for user in self.users])
        return self

    @property
    def all_users(self) -> tuple[User, ...]:
        """The users to issue, with an ``admin`` where the description names no admin."""
        if any(user.ou == "admin" for user in self.users):
            return self.users
        if any(user.name == ADMIN for user in self.users):
            raise DescriptionError(f"{self.name}: user {ADMIN!r} must have ou admin")
        return (User(name=ADMIN, ou="admin"), *self.users)

    @property
    def admin(self) -> str:
        """The name of the user who signs configuration updates."""
        return next(user.name for user in self.all_users if user.ou == "admin")


class EndorsementRule(_Strict):
    """`n` of the organisations' nodes must endorse; `of` is how many organisations there are."""

    n: int = Field(ge=1)
    of: int = Field(ge=1)


class Orderer(_Strict):
    """The sequencer: its identity and when it cuts a block."""

    name: Slug = "orderer"
    msp_id: MspId = "OrdererMSP"
    domain: Domain = "orderer.example"
    country: Country = "ZZ"
    node: NodeAddress = NodeAddress(name="sequencer", port=7050)
    max_message_count: int = Field(default=1000, ge=1, le=100_000)
    absolute_max_bytes: int = Field(default=32 * 1024 * 1024, ge=1024)
    preferred_max_bytes: int = Field(default=8 * 1024 * 1024, ge=1024)
    batch_timeout_ms: int = Field(default=50, ge=1, le=60_000)


class NetworkDescription(_Strict):
    """Everything that a network is made from."""

    name: Slug
    channel: str = Field(default="trace", pattern=r"^[a-z][a-z0-9.-]{0,248}$")
    chaincode: str = Field(default="tracemark", pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")
    organisations: tuple[Organisation, ...] = Field(min_length=1)
    policy: EndorsementRule
    orderer: Orderer = Orderer()

    @model_validator(mode="after")
    def _consistent(self) -> NetworkDescription:
        members = [*self.organisations, self.orderer]
        for what in ("name", "msp_id", "domain"):
            _refuse_duplicates(what, [getattr(member, what) for member in members])
        if self.policy.of != len(self.organisations):
            raise ValueError(
                f"policy.of is {self.policy.of} but there are {len(self.organisations)}"
                " organisations; write the number of organisations"
            )
        if self.policy.n > self.policy.of:
            raise ValueError("policy.n is greater than policy.of")
        return self

    def organisation(self, org: str) -> Organisation:
        """The organisation with this name or MSP id; raises DescriptionError."""
        for organisation in self.organisations:
            if org in (organisation.name, organisation.msp_id):
                return organisation
        raise DescriptionError(f"no organisation {org!r} in network {self.name}")


def read_description(file: Path) -> NetworkDescription:
    """Read a description from YAML; raises DescriptionError with the place of each fault."""
    try:
        return parse_description(yaml.safe_load(file.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise DescriptionError(f"{file} cannot be read: {error}") from error


def parse_description(data: object) -> NetworkDescription:
    """Check an already parsed description; raises DescriptionError."""
    try:
        return NetworkDescription.model_validate(data)
    except ValidationError as error:
        faults = (
            f"{'.'.join(map(str, fault['loc'])) or 'network'}: {fault['msg']}"
            for fault in error.errors()
        )
        raise DescriptionError("network description: " + "; ".join(faults)) from error


def load_network(home: Path) -> NetworkDescription:
    """The description that a home was made from; raises DescriptionError."""
    file = home / "network.json"
    if not file.exists():
        raise DescriptionError(f"{home} holds no network; make one with `tracemark network init`")
    try:
        data = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise DescriptionError(f"{file} is damaged or cannot be read: {error}") from error
    return parse_description(data)


def init_network(desc: NetworkDescription, home: Path) -> None:
    """Make a network: authorities, node and user identities, genesis block.

    Refuses a home that already holds a network. ``network.json`` is written last, so an
    interrupted run can be repeated.
    """
    from nodes.config import genesis_block  # config reads organisation folders

    if (home / "network.json").exists():
        raise DescriptionError(f"{home} already holds a network")
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    for organisation in desc.organisations:
        make_organisation(home, organisation)
    _make_orderer(home, desc.orderer)
    block = genesis_block(home, desc)
    write_public(home / "orderer" / "genesis.block", block.SerializeToString())
    write_description(home, desc)


def add_organisation(home: Path, org: Organisation) -> None:
    """Add an organisation to a network that exists.

    Writes its authorities and identities and the new description. A running network sees it
    within a second, a stopped one when it opens: the channel configuration is updated with the
    administrators' signatures, the new node catches up from block 0, and the endorsement policy
    counts it as one more that may endorse.
    """
    desc = load_network(home)
    if any(org.name == present.name for present in desc.organisations):
        raise DescriptionError(f"the network already has an organisation {org.name!r}")
    grown = parse_description(
        {
            **desc.model_dump(mode="json"),
            "organisations": [
                organisation.model_dump(mode="json") for organisation in (*desc.organisations, org)
            ],
            "policy": {"n": desc.policy.n, "of": len(desc.organisations) + 1},
        }
    )
    make_organisation(home, org)
    write_description(home, grown)


def write_description(home: Path, desc: NetworkDescription) -> None:
    """Replace <home>/network.json whole."""
    write_public(home / "network.json", desc.model_dump_json(indent=2).encode() + b"\n")


def make_organisation(home: Path, org: Organisation) -> None:
    """Write an organisation's CA, TLS CA, public MSP, node and users."""
    folder = OrganisationFolder(
        org.name, org.msp_id, org.domain, org.country, home / "organizations" / org.name
    )
    _make_member(folder, org.node, "peer")
    for user in org.all_users:
        write_user(folder, user.name, user.ou, user.attributes)
    for part in ("ledger", "payloads"):
        (home / "nodes" / org.name / part).mkdir(parents=True, exist_ok=True, mode=0o700)


def _make_orderer(home: Path, orderer: Orderer) -> None:
    folder = OrganisationFolder(
        orderer.name,
        orderer.msp_id,
        orderer.domain,
        orderer.country,
        home / "organizations" / orderer.name,
    )
    _make_member(folder, orderer.node, "orderer")
    write_user(folder, ADMIN, "admin", {})


def _make_member(folder: OrganisationFolder, node: NodeAddress, unit: str) -> None:
    authority = new_authority(f"ca.{folder.domain}", folder.domain, folder.country)
    tls_authority = new_authority(f"tlsca.{folder.domain}", folder.domain, folder.country)
    write_authority(folder.path / "ca", authority)
    write_authority(folder.path / "tlsca", tls_authority)
    roots = certificate_pem(authority.certificate), certificate_pem(tls_authority.certificate)
    write_msp(folder.msp, folder.domain, *roots)
    common_name = f"{node.name}.{folder.domain}"
    msp = folder.node(node.name) / "msp"
    write_msp(msp, folder.domain, *roots)
    write_signing_identity(msp, common_name, issue_identity(authority, common_name, unit))
    tls = issue_tls(tls_authority, common_name, [node.host])
    write_tls(folder.node(node.name) / "tls", tls, roots[1])


def _refuse_duplicates(what: str, values: list[str]) -> None:
    twice = {value for value in values if values.count(value) > 1}
    if twice:
        raise ValueError(f"{what} used twice: {', '.join(sorted(twice))}")
