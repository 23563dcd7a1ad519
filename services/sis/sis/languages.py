"""The names and codes of the world's languages. Source: Unicode CLDR, as Babel brings it."""

from babel import Locale
from babel.core import get_global

from sis.rules.languages import Languages


def _languages() -> Languages:
    # Two-letter codes come last, so they win over three-letter ones of the same name; regional ones are left out.
    known = sorted(
        ((str(code), str(name)) for code, name in Locale("en").languages.items()), key=lambda one: -len(one[0])
    )
    plain = {code: name for code, name in known if "_" not in code}
    names = {name.lower(): code for code, name in plain.items()}
    aliases = {str(old): str(new) for old, new in get_global("language_aliases").items()}
    short = {old: new for old, new in aliases.items() if len(old) == 3 and len(new) == 2}
    return Languages(names, short | {"tgl": "tl"}, frozenset(plain))


LANGUAGES = _languages()
