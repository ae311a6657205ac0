"""Takes secrets out of what is about to be logged: values under secret-looking names, and secret-looking text.

It errs towards hiding: a 64-digit hexadecimal number is taken for a private key unless its name says it is a hash.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from operator import is_
from typing import Any, Final

__all__ = ["HIDDEN", "Redactor"]

HIDDEN: Final = "[redacted]"

_NAME = (
    r"(?:\w*(?:secret|passw(?:or)?d|passphrase|mnemonic|private_?key|api_?key|access_?key|credential|authorization"
    r"|auth_?token|access_?token|bearer_?token|refresh_?token|bot_?token|signature)\w*|seed_?phrase|apikey|pwd)"
)
_SECRET_NAME: Final = re.compile(rf"(?i)(?:{_NAME})")
_HASH_NAME: Final = re.compile(r"(?i)(?:hash|digest|sha256|checksum)s?$")
_KEY_DIGITS: Final = 64
_PRIVATE_KEY: Final = re.compile(r"\b(?:0x)?[0-9a-fA-F]{64}\b")
_TEXT: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), HIDDEN),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9+/=._~-]{8,}"), rf"\1 {HIDDEN}"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+"), HIDDEN),
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^/\s:@]*:[^/\s@]+@"), rf"\1{HIDDEN}@"),
    (re.compile(r"(\b(?:https?|wss?)://[^\s\"'?#]*?/)[A-Za-z0-9_-]{20,}(?=[/?#\s\"',)]|$)"), rf"\1{HIDDEN}"),
    (re.compile(r"(?i)([?&](?:\w*[_-])?(?:key|token|sig|auth|code)=)[^\s&#\"',)]+"), rf"\1{HIDDEN}"),
    (
        re.compile(rf"(?i)([\"']?\b{_NAME}\b[\"']?\s*[=:]\s*)(?!\[redacted])(?:\"[^\"]*\"|'[^']*'|[^\s&,;)}}\]\"']+)"),
        rf"\1{HIDDEN}",
    ),
)
_HINT: Final = re.compile(
    "(?i)key|secret|token|passw|phrase|credential|signature|authorization|mnemonic|pwd|bearer|basic|eyj|://"
)
"""In everything that `_TEXT` finds. It is looked for first: most text has none of it."""


_PLAIN: Final = frozenset({float, int, bool, type(None)})
"""Types of most of what is logged; only its name can make such a value a secret."""
_TEXTS_KEPT: Final = 4096
_NAMES_KEPT: Final = 4096


@lru_cache(maxsize=_NAMES_KEPT)
def _is_secret_name(name: str) -> bool:
    return _SECRET_NAME.fullmatch(name) is not None


class Redactor:
    """Hides secrets. `known` are secret values of this process, hidden wherever they stand, whole or inside text."""

    def __init__(self, known: Iterable[str] = ()) -> None:
        ordered = sorted({value for value in known if value}, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, ordered))) if ordered else None
        self._clean: set[str] = set()
        """Texts without secrets. A strategy says the same few sentences at nearly every tick."""
        self._safe_names: set[Any] = set()

    def text(self, text: str, *, name: str = "") -> str:
        """`text` without secrets; `name` is the field it stands in."""
        return self._string(text, name)

    def value(self, value: Any, *, name: str = "") -> Any:
        """`value` without secrets, at any depth of dictionaries and sequences; itself where there are none."""
        return HIDDEN if name and value is not None and _is_secret_name(name) else self.inside(value, name)

    def inside(self, value: Any, name: str = "") -> Any:
        """Like `value`, where `name` is known to be none that hides it."""
        if isinstance(value, str):
            return self._string(value, name)
        if isinstance(value, (list, tuple, set, frozenset)):
            return self._sequence(value, name)
        if isinstance(value, bytes):
            return self._string(value.decode("utf-8", "backslashreplace"), name)
        return self._mapping(value) if isinstance(value, Mapping) else value

    def is_clean(self, values: Collection[Any]) -> bool:
        """Whether certainly none of them hides anything, whatever its name. Nearly all that is logged is such."""
        for value in values:
            kind = type(value)
            # Most are of this one type, which is found out sooner than what a set has.
            if kind is float or kind in _PLAIN:
                continue
            if kind is str:
                clean = value in self._clean or self._string(value, "") is value
            elif kind is dict:
                clean = self._safe_names.issuperset(value) and self.is_clean(value.values())
            else:
                clean = (kind is tuple or kind is list) and (not value or self.is_clean(value))
            if not clean:
                return False
        return True

    def _string(self, value: str, name: str) -> str:
        if value in self._clean:
            return value
        is_hash = _HASH_NAME.search(name) is not None
        shown = self._look(value, is_hash=is_hash)
        if shown != value:
            return shown
        # Under another name a hash would be taken for a key.
        if not is_hash:
            if len(self._clean) >= _TEXTS_KEPT:
                self._clean.clear()
            self._clean.add(value)
        return value

    def _mapping(self, value: Mapping[Any, Any]) -> Any:
        safe = self._safe_names
        if safe.issuperset(value) and self.is_clean(value.values()):
            return value
        hidden: dict[Any, Any] = {}
        for key, inner in value.items():
            if key not in safe and self._is_secret(key):
                if inner is not None:
                    hidden[key] = HIDDEN
            elif type(inner) not in _PLAIN and (shown := self.inside(inner, str(key))) is not inner:
                hidden[key] = shown
        return {**value, **hidden} if hidden else value

    def _sequence(self, value: Any, name: str) -> Any:
        if self.is_clean(value):
            return value
        shown = [self.inside(inner, name) for inner in value]
        if all(map(is_, shown, value)):
            return value
        return tuple(shown) if type(value) is tuple else shown

    def _is_secret(self, key: Any) -> bool:
        if _is_secret_name(str(key)):
            return True
        if len(self._safe_names) < _NAMES_KEPT:
            self._safe_names.add(key)
        return False

    def _look(self, text: str, *, is_hash: bool) -> str:
        if self._known is not None:
            text = self._known.sub(HIDDEN, text)
        if _HINT.search(text) is not None:
            for pattern, replacement in _TEXT:
                text = pattern.sub(replacement, text)
        return text if is_hash or len(text) < _KEY_DIGITS else _PRIVATE_KEY.sub(HIDDEN, text)

    def __call__(self, _logger: object, _method: str, line: Any) -> Any:
        """As a structlog processor."""
        return {key: self.value(inner, name=str(key)) for key, inner in line.items()}
