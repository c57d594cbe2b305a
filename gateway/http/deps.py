"""What routes ask for: the container, and who is calling.

A caller is known by an API key (``Authorization: Bearer tmk_...`` or ``X-API-Key``) or by a TLS
client certificate of the network. Roles checked here only save the caller a round trip: the
contract decides again on every validator.
"""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import Depends, Request

from gateway.auth import Caller
from gateway.container import Container
from gateway.errors import Problem


def get_container(request: Request) -> Container:
    """The gateway's parts; NOT_READY while they are being opened."""
    container = getattr(request.app.state, "container", None)
    if container is None:
        raise Problem("NOT_READY", "the gateway is starting", headers={"Retry-After": "1"})
    return cast(Container, container)


async def container_dependency(request: Request) -> Container:
    """`get_container` as a dependency that costs no thread."""
    return get_container(request)


async def optional_caller(request: Request) -> Caller | None:
    """Who calls, or None without credentials; wrong credentials are refused, never ignored."""
    caller = await get_container(request).authenticator.identify(request.scope)
    if caller is not None:
        request.scope["tracemark.key_id"] = caller.key_id  # for the access line
    return caller


async def require_caller(request: Request) -> Caller:
    """Who calls; UNAUTHENTICATED without credentials."""
    caller = await optional_caller(request)
    if caller is None:
        raise Problem(
            "UNAUTHENTICATED",
            headers={"WWW-Authenticate": 'Bearer realm="tracemark"'},
        )
    return caller


class RequireRole:
    """Dependency: a caller whose party has one of `roles` on the chain (or FORBIDDEN)."""

    def __init__(self, *roles: str) -> None:
        self.roles = frozenset(roles)

    async def __call__(self, request: Request) -> Caller:
        caller = await require_caller(request)
        if self.roles.isdisjoint(caller.roles):
            held = ", ".join(sorted(caller.roles)) or "none"
            raise Problem(
                "FORBIDDEN",
                f"this needs the role {' or '.join(sorted(self.roles))}; yours: {held}",
            )
        return caller


async def require_admin(request: Request) -> Caller:
    """A caller whose certificate is of the organisation's `admin` unit (or FORBIDDEN)."""
    caller = await require_caller(request)
    if caller.ou != "admin":
        raise Problem("FORBIDDEN", "this needs an administrator's key of the organisation")
    return caller


ContainerDep = Annotated[Container, Depends(container_dependency)]
CallerDep = Annotated[Caller, Depends(require_caller)]
OptionalCallerDep = Annotated[Caller | None, Depends(optional_caller)]
AdminDep = Annotated[Caller, Depends(require_admin)]
