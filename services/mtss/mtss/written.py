"""Policies as text: JSON and YAML, in and out. YAML is read as the JSON that it stands for, and nothing else."""

import json
from collections.abc import Hashable, Mapping
from typing import Any

import yaml

from common import json as strict_json
from common.errors import MalformedJson
from mtss.rules import PolicyInvalid

_PLAIN = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "int", "float", "seq", "map", "str"))
_AT_MOST_DEEP = 50


def document_of(text: bytes) -> Any:
    """The document that ``text`` says in JSON or in YAML.

    Raises:
        PolicyInvalid: it is neither, holds a key twice, or what JSON cannot say.
    """
    if text.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        try:
            return strict_json.parse(text)
        except MalformedJson as error:
            raise PolicyInvalid(field="the file", rule=f"is not JSON: {error.facts['rule']}") from None
    return _from_yaml(text)


def as_json(document: Mapping[str, Any]) -> str:
    """The document for people to read."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def as_yaml(document: Mapping[str, Any]) -> str:
    """The document for people to read and change."""
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)


def _from_yaml(text: bytes) -> Any:
    try:
        return yaml.load(text.decode(), _Loader)  # noqa: S506 (a SafeLoader that takes less)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        own = error.problem if isinstance(error, _Refused) else "is not YAML"
        raise PolicyInvalid(field=f"line {line}", rule=own) from None
    except (yaml.YAMLError, UnicodeDecodeError, ValueError):
        raise PolicyInvalid(field="the file", rule="is neither JSON nor YAML") from None


class _Refused(yaml.MarkedYAMLError):
    pass


class _Loader(yaml.SafeLoader):
    """Only what JSON can say: no dates, tags, aliases, merged or repeated keys."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = yaml.SafeLoader.peek_event(self)  # type: ignore[no-untyped-call]  # PyYAML's stubs leave it out
        begins: Any = event.start_mark
        if isinstance(event, yaml.AliasEvent):  # a few lines of them stand for gigabytes
            raise _Refused(None, None, "refers to another place", begins)
        self.depth += 1
        if self.depth > _AT_MOST_DEEP:
            raise _Refused(None, None, "is nested too deep", begins)
        node: Any = super().compose_node(parent, index)
        self.depth -= 1
        if node.tag not in _PLAIN:
            raise _Refused(None, None, "has a tag", begins)
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        """The mapping, if its keys are texts and no two of them the same."""
        seen = set()
        for key, _ in node.value:
            if key.tag != "tag:yaml.org,2002:str":
                raise _Refused(None, None, "has a key that is no text: put it in quotes", key.start_mark)
            if key.value in seen:
                raise _Refused(None, None, "has a key that stands twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, found) for tag, found in resolvers if tag in _PLAIN]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
