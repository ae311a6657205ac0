"""Defines the secrets that live trading needs. They come from the environment, or from a file of its owner.

`BASIS_ACTORS_<VENUE>__API_KEY`, `BASIS_ACTORS_<VENUE>__API_SECRET` and, for OKX, `BASIS_ACTORS_OKX__PASSPHRASE`; or
`BASIS_ACTORS_SECRETS_FILE`, a file of mode 0600 with the same as lines `NAME=value`. What the environment says itself
goes before the file. Addresses of webhooks are the business of `webhooks.py`. Only live trading reads secrets;
importing or loading configuration does not.
"""

from __future__ import annotations

import os
from typing import Final

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from basis_actors.config.environment import FILE, NEXT, PLAIN, PREFIX, file_variables
from basis_actors.config.spelling import hint
from basis_actors.config.webhooks import WEBHOOK_PREFIX
from basis_actors.errors import ConfigError

__all__ = ["ExchangeKeys", "PassphraseKeys", "Secrets", "load_secrets", "variables_of"]


class ExchangeKeys(BaseModel):
    """Credentials of one exchange account."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    api_key: SecretStr
    api_secret: SecretStr

    @field_validator("*")
    @classmethod
    def _not_empty(cls, value: SecretStr) -> SecretStr:
        if not value.get_secret_value():
            raise ValueError("is empty")
        return value


class PassphraseKeys(ExchangeKeys):
    """Credentials of an exchange that also asks for a passphrase."""

    passphrase: SecretStr


class Secrets(BaseSettings):
    """Everything secret; a venue without credentials is None."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter=NEXT,
        env_ignore_empty=False,
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
    )

    binance: ExchangeKeys | None = None
    bybit: ExchangeKeys | None = None
    okx: PassphraseKeys | None = None


_KEYS: Final[dict[str, type[ExchangeKeys]]] = {"binance": ExchangeKeys, "bybit": ExchangeKeys, "okx": PassphraseKeys}


def variables_of(venue: str) -> tuple[str, ...]:
    """The variables that an exchange needs, all of them; none for one that is not traded live."""
    model = _KEYS.get(venue)
    return () if model is None else tuple(_variable((venue, field)) for field in model.model_fields)


def load_secrets() -> Secrets:
    """Read the secrets.

    Raises ConfigError CONFIG-003 that names the variables which are unknown, incomplete or empty, never a value, or
    says what is wrong with the secrets file.
    """
    known = tuple(variable for venue in _KEYS for variable in variables_of(venue))
    _refuse_strangers("environment", {name for name in os.environ if name.startswith(PREFIX)} - PLAIN, known)
    found = {name: value for name, value in file_variables().items() if not name.startswith(WEBHOOK_PREFIX)}
    file = f"{os.environ.get(FILE)} (file of keys)"
    _refuse_strangers(file, set(found), known)
    given: dict[str, dict[str, str]] = {}
    for name, value in found.items():
        if name not in os.environ:
            venue, field = name.removeprefix(PREFIX).lower().split(NEXT)
            given.setdefault(venue, {})[field] = value
    try:
        return Secrets(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        wrong = sorted(
            {_variable(detail["loc"]) for detail in error.errors(include_input=False, include_context=False)}
        )
    where = f"environment and {file}" if found else "environment"
    text = f"{where}: {', '.join(wrong)} missing or empty; set all variables of a venue or none"
    raise ConfigError("CONFIG-003", text)


def _refuse_strangers(where: str, names: set[str], known: tuple[str, ...]) -> None:
    strangers = sorted(name for name in names - set(known) if not name.startswith(WEBHOOK_PREFIX))
    if strangers:
        text = f"{where}: unknown variable {', '.join(strangers)}; known: {', '.join(known)}"
        raise ConfigError("CONFIG-003", text + hint(strangers[0], known))


def _variable(path: tuple[int | str, ...]) -> str:
    return PREFIX + NEXT.join(str(part).upper() for part in path)
