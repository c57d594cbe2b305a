"""Settings of the pages people see, from the environment like the gateway's own."""

from __future__ import annotations

from functools import cache

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class SiteSettings(BaseSettings):
    """What an operator may say on the public pages."""

    model_config = SettingsConfigDict(env_prefix="TRACEMARK_", frozen=True, extra="ignore")

    report_contact: str = Field(
        default="",
        max_length=200,
        description="Phone, mail or address for reports of bad products.",
    )


@cache
def site() -> SiteSettings:
    """The settings, read once."""
    return SiteSettings()
