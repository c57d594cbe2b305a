"""What every command has in common: connection options, ``--json``, and one way to fail.

A command body is an ordinary function that returns None or an exit code. :func:`command` wraps
it so that each error of the packages below becomes one sentence and one exit code; a traceback
is shown only when ``TRACEMARK_DEBUG`` is set.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from cli.client import Client
from cli.errors import CliError, Refused, Unexpected, Unreachable, UsageFault
from cli.profile import load_profile

F = TypeVar("F", bound=Callable[..., Any])

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


Body = Callable[..., int | None]


def command(
    group: click.Group | None = None, name: str | None = None, **attrs: Any
) -> Callable[[Body], click.Command]:
    """Declare a command (in `group`, if given) with ``--json`` and the common failure handling."""

    def declare(function: Body) -> click.Command:
        guarded = _guarded(function)
        option = click.option(
            "--json", "as_json", is_flag=True, help="Print one JSON value instead of text."
        )
        settings = {"context_settings": CONTEXT, "no_args_is_help": False, **attrs}
        made = click.command(name, cls=click.Command, **settings)(option(guarded))
        if group is not None:
            group.add_command(made)
        return made

    return declare


def connected(function: F) -> F:
    """Add ``--url``, ``--api-key`` and ``--profile``; the body gets an open `client`."""

    @click.option("--url", default="", metavar="URL", help="Base URL of the gateway.")
    @click.option("--api-key", default="", metavar="KEY", help="API key (tmk_...).")
    @click.option("--profile", default="", metavar="NAME", help="Profile of config.toml.")
    @functools.wraps(function)
    def wrapped(*args: Any, url: str, api_key: str, profile: str, **kwargs: Any) -> Any:
        with Client(load_profile(profile, url, api_key)) as client:
            return function(*args, client=client, **kwargs)

    return wrapped  # type: ignore[return-value]


def home_option(function: F) -> F:
    """Add ``--home``: the data home, by default ``$TRACEMARK_HOME`` or ``.tracemark``."""
    return click.option(
        "--home",
        type=click.Path(file_okay=False, path_type=Path),
        default=Path(".tracemark"),
        envvar="TRACEMARK_HOME",
        show_default=True,
        help="Data home.",
    )(function)


def _validation(error: Any) -> str:
    """A pydantic error as one sentence for each field."""
    faults = (
        (".".join(map(str, fault["loc"])), fault["msg"].removeprefix("Value error, "))
        for fault in error.errors()
    )
    return "; ".join(f"{where}: {told}" if where else told for where, told in faults)


_USAGE: Final = frozenset(
    {
        "nodes.errors.DescriptionError",
        "nodes.errors.IdentityError",
        "nodes.backup.BackupError",
        "gateway.wallet.WalletError",
    }
)


def _guarded(function: Body) -> Body:
    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> int | None:
        try:
            return function(*args, **kwargs)
        except (
            click.ClickException,
            click.exceptions.Exit,
            click.Abort,
            KeyboardInterrupt,
        ) as error:
            if isinstance(error, CliError):
                error.as_json = bool(kwargs.get("as_json"))
            raise
        except BrokenPipeError:
            raise
        except Exception as error:
            if os.environ.get("TRACEMARK_DEBUG"):
                raise
            told = translate(error)
            told.as_json = bool(kwargs.get("as_json"))
            raise told from error

    return wrapped


def translate(error: Exception) -> CliError:
    """The CliError for an error of the packages below, or Unexpected."""
    kinds = {f"{kind.__module__}.{kind.__name__}" for kind in type(error).__mro__}
    if "chaincode.errors.Refusal" in kinds:
        return Refused(
            str(error), code=getattr(error, "code", ""), where=getattr(error, "where", "")
        )
    if "nodes.errors.AlreadyOpen" in kinds:
        return UsageFault(
            str(error), hint="stop that process first, or ask the running gateway over HTTP"
        )
    if "pydantic_core._pydantic_core.ValidationError" in kinds:
        return UsageFault(_validation(error))
    if kinds & _USAGE:
        return UsageFault(str(error))
    if kinds & {"nodes.errors.NodeError", "nodes.errors.GatewayError"}:
        return Unreachable(str(error))
    if "gateway.errors.Problem" in kinds:
        return Refused(str(getattr(error, "detail", error)), code=str(getattr(error, "code", "")))
    if isinstance(error, OSError):
        name = f"{error.filename}: " if error.filename else ""
        return UsageFault(f"{name}{error.strerror or error}")
    return Unexpected(
        f"{type(error).__name__}: {error}",
        code="UNEXPECTED",
        hint="set TRACEMARK_DEBUG=1 to see where, and report it",
    )
