"""What a deployment sets, by environment variables with the prefix ``TRELLIS_``."""

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from common.oidc import Oidc, is_this_machine


class NotConfigured(Exception):
    """A setting is missing. The message is one sentence for the operator."""


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        raise ValueError("must be a name of the IANA time zone database, such as America/Denver") from None
    return name


def _origin(origin: str) -> str:
    parts = urlsplit(origin)
    safe = parts.scheme == "https" or (parts.scheme == "http" and is_this_machine(parts.hostname or ""))
    if not safe or origin != f"{parts.scheme}://{parts.netloc}" or "*" in origin:
        raise ValueError("must be an origin such as https://console.example.org, without a path or a star")
    return origin


def _database(url: str) -> str:
    if url and urlsplit(url).scheme not in {"postgresql", "postgresql+asyncpg"}:
        raise ValueError("must be an address such as postgresql://mtss_app:…@host/mtss")
    return url


class Settings(BaseSettings):
    """The settings of one service. In a URL, ``{service}`` stands for the service's name."""

    model_config = SettingsConfigDict(
        env_prefix="TRELLIS_", env_nested_delimiter="__", extra="ignore", hide_input_in_errors=True
    )

    database_url: Annotated[str, AfterValidator(_database)] = Field(
        default="", description="The service's own database, as its application role."
    )
    owner_database_url: Annotated[str, AfterValidator(_database)] = Field(
        default="", description="The same database as the role that owns it: migrations."
    )
    application_role: str = Field(default="{service}_app", description="The role that migrations grant access to.")
    keys: Path | None = Field(default=None, description="This service's folder of keys, as `trellis keys` writes it.")
    kafka: str = Field(default="", description="HOST:PORT of Kafka; empty: events stay in this process.")
    kafka_security: dict[str, str] = Field(
        default_factory=dict, description="security_protocol, sasl_mechanism, sasl_plain_username, …"
    )
    time_zone: Annotated[str, AfterValidator(_known_zone)] | None = Field(
        default=None, description="The district's time zone; required outside embedded mode."
    )
    smtp_url: str = Field(default="", description="smtp://[user:password@]host:port or smtps://…")
    mail_from: str = Field(default="school@trellis.invalid", description="The sender of e-mail to families.")
    alert_email: str = Field(
        default="", description="Where district IT is told what does not arrive from the SIS; empty: nobody is told."
    )
    public_url: str = Field(
        default="", description="The address that people and clients use; required outside embedded mode."
    )
    peers: dict[str, str] = Field(default_factory=dict, description="Base address of each sister service.")
    oidc: Oidc | None = Field(default=None, description="The district's identity provider, at which staff sign in.")
    allowed_origins: list[Annotated[str, AfterValidator(_origin)]] = Field(
        default_factory=list,
        description="Web clients of other origins that staff may use, such as https://console.example.org.",
    )
    body_limit_bytes: int = Field(default=4 * 1024 * 1024, gt=0, description="The largest request body.")
    log_folder: Path | None = Field(default=None, description="Where logs go; empty: standard error.")

    @property
    def zone(self) -> ZoneInfo:
        """The district's time zone."""
        return ZoneInfo(self.time_zone or "UTC")

    def filled(self, service: str) -> "Settings":
        """These settings with ``{service}`` filled in wherever an address may hold it."""
        names = ("database_url", "owner_database_url", "application_role")
        return self.model_copy(update={name: getattr(self, name).replace("{service}", service) for name in names})
