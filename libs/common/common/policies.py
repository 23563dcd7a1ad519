"""The policy of a service: its own ``policy.toml``, and in place of that what a district's file says."""

import os
import tomllib
from collections.abc import Collection, Mapping
from datetime import date, time
from importlib.resources import files
from pathlib import Path
from typing import Any

from common.settings import NotConfigured

_KINDS: Mapping[type, str] = {
    bool: "true or false",
    int: "a whole number from 0",
    str: "text",
    time: "a time such as 18:00:00, without quotes",
    date: "a date such as 2027-01-31, without quotes",
    list: "a list",
    dict: "a section",
}


class PolicyInvalid(NotConfigured):
    """A district's policy file says what is not understood. The message is one sentence, and never holds a value."""


def policy_of(service: str, *, of: str = "", added_to: Collection[str] = ()) -> dict[str, Any]:
    """What ``policy.toml`` of the package ``service`` says, changed by the file that ``TRELLIS_<SERVICE>_POLICY`` names.

    ``of``: what the policy is of, where that is not the service: ``access`` reads ``access.toml``, ``TRELLIS_ACCESS_POLICY``.
    ``added_to``: sections, such as ``attendance.categories``, to which a district adds entries of its own.

    Raises:
        PolicyInvalid: there is no such file, it is not TOML, or :func:`merged` refuses it.
    """
    default = shipped(service, of=of)
    variable = f"TRELLIS_{(of or service).upper()}_POLICY"
    given = os.environ.get(variable)
    if not given:
        return default
    try:
        return merged(default, _read(Path(given)), added_to=added_to)
    except PolicyInvalid as invalid:
        raise PolicyInvalid(f"The policy file that {variable} names: {invalid}.") from None


def shipped(service: str, *, of: str = "") -> dict[str, Any]:
    """The same without a district's file: as Trellis comes, and the floor of what a district may only raise."""
    return tomllib.loads(files(service).joinpath(f"{of or 'policy'}.toml").read_text(encoding="utf-8"))


def merged(default: Mapping[str, Any], said: Mapping[str, Any], *, added_to: Collection[str] = ()) -> dict[str, Any]:
    """``default`` with what is ``said`` in its place; a list replaces a list whole.

    Raises:
        PolicyInvalid: a section or key is unknown, a value is of another kind, or what has a source or a version is
            changed without one of its own.
    """
    if "version" in default and said.get("version", default["version"]) == default["version"]:
        raise PolicyInvalid("it needs a version of its own, because decisions name the version they rest on")
    return _merged(default, said, "", added_to)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise PolicyInvalid("it cannot be read") from None
    except ValueError:  # its message may quote the file
        raise PolicyInvalid("it is not TOML in UTF-8") from None


def _merged(default: Mapping[str, Any], said: Mapping[str, Any], at: str, added_to: Collection[str]) -> dict[str, Any]:
    if "source" in default and "source" not in said:
        raise PolicyInvalid(f"{at} needs a source of its own")
    example = next(iter(default.values())) if at in added_to else None
    result = dict(default)
    for key, value in said.items():
        name = f"{at}.{key}" if at else key
        if key not in default and example is None:
            raise PolicyInvalid(f"{name} is unknown, choose from {', '.join(default)}")
        if key not in default and isinstance(example, dict) and isinstance(value, dict) and example.keys() - value:
            raise PolicyInvalid(f"{name} needs {', '.join(example)}")
        result[key] = _value(default.get(key, example), value, name, added_to)
    return result


def _value(default: Any, said: Any, at: str, added_to: Collection[str]) -> Any:
    if type(said) is not type(default) or (type(said) is int and said < 0):
        raise PolicyInvalid(f"{at} must be {_KINDS[type(default)]}")
    if isinstance(said, dict):
        return _merged(default, said, at, added_to)
    if isinstance(said, list) and any(type(one) is not type(default[0]) for one in said):
        raise PolicyInvalid(f"{at} must be a list, and each in it {_KINDS[type(default[0])]}")
    return said
