"""Settings of the gateway, read once at start from the environment (``TRACEMARK_<NAME>``).

Every field is described in ``docs/reference/settings.md``; a test holds the two together.
Durations carry their unit in the name; sizes are bytes.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

MIB = 1 << 20
ALL_NODES = "all"
"""Value of `grpc_listen`: serve every organisation's node."""


class Settings(BaseSettings):
    """All the gateway may be told; unknown ``TRACEMARK_`` variables are left alone."""

    model_config = SettingsConfigDict(env_prefix="TRACEMARK_", frozen=True, extra="ignore")

    home: Path = Field(
        Path(".tracemark"), description="Data home: network, ledgers, payloads, gateway state."
    )
    ledger: str = Field(
        "embedded", description="`embedded`, or `grpc://host:port` of a Gateway service."
    )
    channel: str = Field("trace", description="Channel name.")
    chaincode: str = Field("tracemark", description="Chaincode name; also the state's namespace.")
    organisation: str = Field(
        "", description="Organisation the gateway itself acts for; default: the first in the home."
    )
    user: str = Field("gateway", description="User of that organisation the gateway signs as.")
    ledger_tls_ca: Path | None = Field(
        None, description="PEM roots for `grpc://`; default: every organisation's TLS CA in home."
    )
    ledger_server_name: str = Field("", description="TLS server name expected of `grpc://`.")
    grpc_listen: str = Field(
        "",
        description="`host:port` at which the embedded network's gRPC services are served too, "
        "or `all`: every organisation's, each at its node's own address.",
    )
    grpc_host: str = Field(
        "",
        description="With `all`: listen here instead of on the nodes' host names, e.g. `0.0.0.0`.",
    )

    database_url: str = Field(
        "", description="SQLAlchemy URL; default: two SQLite files below `<home>/gateway`."
    )
    database_pool: int = Field(16, ge=2, le=200, description="Connections kept per database.")
    project_blocks: int = Field(
        64, ge=1, le=4096, description="Most blocks projected in one SQL transaction when behind."
    )
    ready_lag_blocks: int = Field(
        200, ge=0, description="/readyz fails when the read model is more blocks behind than this."
    )

    host: str = Field("127.0.0.1", description="Address to bind.")
    port: int = Field(8000, ge=0, le=65535, description="Port to bind; 0 picks a free one.")
    public_url: str = Field(
        "", description="Base URL others reach this gateway at; default: from host and port."
    )
    tls_certificate: Path | None = Field(None, description="PEM certificate chain of the server.")
    tls_key: Path | None = Field(None, description="PEM private key of the server.")
    client_certificates: Literal["off", "optional", "required"] = Field(
        "optional", description="Whether TLS asks callers for a network certificate."
    )
    allow_plain_http: bool = Field(
        False, description="Bind a non-loopback address without TLS (behind a TLS proxy only)."
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Comma-separated networks whose `X-Forwarded-For` is believed."
    )

    max_body_bytes: int = Field(MIB, ge=1024, description="Largest request body.")
    max_document_bytes: int = Field(
        64 * MIB, ge=1024, description="Largest request body below /epcis/v2."
    )
    body_timeout_s: float = Field(
        30.0, gt=0, description="Longest silence while a request body is being received."
    )
    request_timeout_s: float = Field(
        60.0, gt=0, description="Longest time to the first byte of an answer."
    )
    document_timeout_s: float = Field(
        600.0, gt=0, description="The same for requests below /epcis/v2."
    )
    rate_per_key: float = Field(
        500.0, ge=0, description="Requests per second per key; 0: no limit."
    )
    rate_per_address: float = Field(
        100.0, ge=0, description="Requests per second per address without a key; 0: no limit."
    )
    rate_burst_s: float = Field(
        4.0, ge=1, description="Seconds of unused rate a caller may spend at once."
    )
    rate_limit_loopback: bool = Field(
        False, description="Whether loopback addresses are limited per address too."
    )

    commit_timeout_s: float = Field(
        30.0, gt=0, description="Longest wait for a transaction's commit status."
    )
    orphans_every_s: float = Field(
        3600.0,
        ge=0,
        description="Seconds between deletions of payloads whose event never reached the chain, "
        "where the network is embedded; 0: never.",
    )
    orphans_grace_h: float = Field(
        24.0, ge=1, description="Hours a payload may wait for its event before that."
    )
    trace_max_nodes: int = Field(
        5000, ge=10, le=100_000, description="Most identifiers and events in one trace answer."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Log level."
    )
    log_format: Literal["json", "text"] = Field(
        "json", description="One JSON object a line, or text."
    )

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for network in value:
            ipaddress.ip_network(network, strict=False)
        return value

    @field_validator("ledger")
    @classmethod
    def _ledger(cls, value: str) -> str:
        if value == "embedded":
            return value
        parts = urlsplit(value)
        if parts.scheme != "grpc" or not parts.hostname or parts.port is None:
            raise ValueError("must be `embedded` or `grpc://host:port`")
        return value

    @field_validator("grpc_listen")
    @classmethod
    def _grpc_listen(cls, value: str) -> str:
        if value in ("", ALL_NODES):
            return value
        _, colon, port = value.rpartition(":")
        if not colon or not port.isdecimal() or int(port) > 65535:
            raise ValueError(f"must be `host:port`, or `{ALL_NODES}`")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key go together")
        if self.grpc_host and self.grpc_listen != ALL_NODES:
            raise ValueError(f"grpc_host goes with grpc_listen={ALL_NODES}")
        if not (self.tls or self.allow_plain_http or is_loopback(self.host)):
            raise ValueError(
                f"host {self.host} is reachable from other machines: set tls_certificate and "
                "tls_key, or allow_plain_http when a proxy in front ends TLS"
            )
        return self

    @property
    def tls(self) -> bool:
        """Whether this server ends TLS itself."""
        return self.tls_certificate is not None

    @property
    def base_url(self) -> str:
        """Public base URL without a trailing slash."""
        if self.public_url:
            return self.public_url.rstrip("/")
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"

    @property
    def gateway_home(self) -> Path:
        """Folder of the gateway's own state."""
        return self.home / "gateway"

    @property
    def readmodel_url(self) -> str:
        """URL of the read model's database."""
        return self.database_url or f"sqlite:///{self.gateway_home.absolute()}/readmodel.sqlite"

    @property
    def state_url(self) -> str:
        """URL of the database of what no block holds: API keys, capture jobs, named queries."""
        return self.database_url or f"sqlite:///{self.gateway_home.absolute()}/state.sqlite"


@lru_cache(maxsize=4096)
def is_loopback(host: str) -> bool:
    """Whether binding `host` (a name or an address) is reachable from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
