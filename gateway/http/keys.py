"""API keys over HTTP: an organisation's administrator makes, lists and revokes its keys."""

from __future__ import annotations

import time
from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from gateway.access_keys import NewKey, create_key
from gateway.errors import Problem
from gateway.http.deps import AdminDep, CallerDep, ContainerDep

router = APIRouter(prefix="/v1/keys", tags=["keys"])

KeyId = Annotated[str, Path(pattern=r"^[0-9A-Za-z]{16}$", description="A key's id")]


class KeyRequest(BaseModel):
    """What key to make, and for which user of the caller's organisation."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "label": "packing line 2",
                    "user": "line2",
                    "party": "urn:tracemark:party:finca-alta",
                    "valid_days": 365,
                }
            ]
        },
    )

    label: str = Field(
        min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$", description="What it is for."
    )
    user: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        description="User of the caller's organisation; issued when new and its CA is here.",
    )
    party: str | None = Field(None, max_length=200, description="Party a new user acts for.")
    ou: str = Field("client", pattern="^(client|admin)$", description="Unit of a new user.")
    certificate: str | None = Field(
        None, max_length=16_384, description="PEM of a user whose key stays with them."
    )
    private_key: str | None = Field(
        None, max_length=16_384, description="PKCS#8 PEM, to be kept in the gateway's wallet."
    )
    valid_days: int | None = Field(None, ge=1, le=3650, description="Default: no end.")


@router.post("", status_code=201, summary="Make an API key")
async def create(request: KeyRequest, caller: AdminDep, container: ContainerDep) -> dict[str, Any]:
    """The answer holds the key; it is shown this once.

    With neither certificate nor private key, the user's key comes from the organisation's folder
    in the gateway's home (a new user is issued one) and is kept in the wallet. With a certificate
    alone the private key stays with the user, who signs offline under /v1/ledger.
    """
    expires_ms = None
    if request.valid_days is not None:
        expires_ms = int((time.time() + request.valid_days * 86_400) * 1000)
    wanted = NewKey(
        label=request.label,
        msp_id=caller.msp_id,
        user=request.user,
        party=request.party,
        ou=request.ou,
        certificate=request.certificate,
        private_key=request.private_key,
        expires_ms=expires_ms,
        created_by=f"{caller.msp_id}/{caller.user}",
    )
    key, token = await run_in_threadpool(create_key, container, wanted)
    return {**key.public(), "key": token}


@router.get("", summary="The organisation's API keys")
def list_keys(caller: AdminDep, container: ContainerDep) -> list[dict[str, Any]]:
    """Newest first, revoked and expired ones too; never a secret."""
    return [key.public() for key in container.keys.list(caller.msp_id)]


@router.get("/self", summary="Who the gateway takes this caller for")
async def self(caller: CallerDep) -> dict[str, Any]:
    """The ledger identity, the party and its roles behind the credentials sent."""
    return {
        "key_id": caller.key_id,
        "msp": caller.msp_id,
        "user": caller.user,
        "ou": caller.ou,
        "party": caller.party,
        "roles": sorted(caller.roles),
        "suspended": caller.suspended,
        "signs": "gateway" if caller.signer else "caller",
    }


@router.delete("/{key_id}", status_code=204, summary="Revoke an API key")
def revoke(key_id: KeyId, caller: AdminDep, container: ContainerDep) -> None:
    """The key ends at once here and within two seconds on every other gateway."""
    key = container.keys.get(key_id)
    if key is None or key.msp != caller.msp_id:
        raise Problem("NOT_FOUND", "your organisation has no such key")
    container.keys.revoke(key_id)
    container.authenticator.forget()
