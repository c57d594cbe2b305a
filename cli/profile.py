"""Where the gateway is and which key to use.

Order: the command's own option, then the environment (``TRACEMARK_URL``, ``TRACEMARK_API_KEY``,
``TRACEMARK_PROFILE``), then a profile of ``config.toml`` below ``$TRACEMARK_CONFIG`` or
``$XDG_CONFIG_HOME/tracemark`` (``~/.config/tracemark``)::

    default = "home"

    [profile.home]
    url = "http://127.0.0.1:8000"
    api_key = "tmk_..."
    ca = "/path/to/roots.pem"      # optional: roots for an https gateway of one's own
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cli.errors import UsageFault

DEFAULT_URL: Final = "http://127.0.0.1:8000"


@dataclass(frozen=True, slots=True)
class Profile:
    """A gateway's base URL without trailing slash, an API key or "", and PEM roots or ""."""

    url: str
    api_key: str = ""
    ca: str = ""


def config_file() -> Path:
    """Where profiles are kept."""
    if chosen := os.environ.get("TRACEMARK_CONFIG"):
        return Path(chosen) / "config.toml"
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "tracemark" / "config.toml"


def state_folder() -> Path:
    """Where commands keep what lets them resume (not configuration, not secret)."""
    if chosen := os.environ.get("TRACEMARK_STATE"):
        return Path(chosen)
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "tracemark"


def load_profile(name: str = "", url: str = "", api_key: str = "") -> Profile:
    """The profile in force; raises UsageFault when the file or the profile cannot be used."""
    name = name or os.environ.get("TRACEMARK_PROFILE", "")
    values = _read(name)
    chosen = url or os.environ.get("TRACEMARK_URL") or values.get("url") or DEFAULT_URL
    if not chosen.startswith(("http://", "https://")):
        raise UsageFault(f"{chosen!r} is not a gateway's URL: it starts with http:// or https://")
    key = api_key or os.environ.get("TRACEMARK_API_KEY") or values.get("api_key", "")
    if key and not key.isascii():
        raise UsageFault("the API key holds characters that no key has; copy it again")
    return Profile(chosen.rstrip("/"), key, values.get("ca", ""))


def _read(name: str) -> dict[str, str]:
    import tomllib

    file = config_file()
    try:
        data: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if name:
            raise UsageFault(f"there is no profile {name!r}: {file} does not exist") from None
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageFault(f"{file} cannot be read: {error}") from error
    profiles = data.get("profile", {})
    name = name or str(data.get("default", ""))
    if not name:
        return {}
    if not isinstance(profiles, dict) or not isinstance(profiles.get(name), dict):
        known = ", ".join(sorted(profiles)) if isinstance(profiles, dict) else ""
        raise UsageFault(f"{file} has no profile {name!r}; it has {known or 'none'}")
    return {key: str(value) for key, value in profiles[name].items()}
