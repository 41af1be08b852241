"""Where every key of a TOML text stands: a small scanner, for messages that name a line.

It walks over text that `tomllib` has accepted, so it looks for the places of keys and for the ends
of strings, and not for mistakes.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from contextlib import suppress

KeyPath = tuple[str | int, ...]

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE = re.compile(r"[ \t]*")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}(?!")|\'\'\'.*?\'{3,5}(?!\')'
    r'|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'',
    re.DOTALL,
)
_PLAIN = re.compile(r"[^,\]}\n#]*")


def key_lines(text: str) -> dict[KeyPath, int]:
    """The line of each key and table header by its path: ``("budget", 0, "params")`` to 7.

    An array of tables, or of anything, has numbers in the path. A key that this scanner cannot
    find is absent.
    """
    scanner = _Scanner(text)
    # What was found so far is right, and the header's line will do for the rest.
    with suppress(IndexError, ValueError, RecursionError):
        scanner.scan()
    return scanner.lines


def line_at(lines: Mapping[KeyPath, int], path: KeyPath) -> int:
    """The line of a key among those of `key_lines`, else of what it stands in, else 1."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text.replace("\r\n", "\n")
        self.at = 0
        self.lines: dict[KeyPath, int] = {}
        self._tables: dict[KeyPath, int] = {}
        self._counted, self._line = 0, 1

    def scan(self) -> None:
        prefix: KeyPath = ()
        self._skip(_BLANK)
        while self.at < len(self.text):
            start = self.at
            if self._takes("[["):
                prefix = self._header(self._keys())
                prefix = (*prefix, self._tables.setdefault(prefix, 0))
                self._tables[prefix[:-1]] += 1
                self._note_header(prefix, start)
                self.at = self.text.index("]]", self.at) + 2
            elif self._takes("["):
                prefix = self._header(self._keys())
                self._note_header(prefix, start)
                self.at = self.text.index("]", self.at) + 1
            else:
                self._pair(prefix)
            self._skip(_BLANK)

    def _header(self, keys: KeyPath) -> KeyPath:
        """The path that a header means: inside an array of tables it is that of the last one."""
        path: KeyPath = ()
        for number, key in enumerate(keys):
            path = (*path, key)
            if path in self._tables and number < len(keys) - 1:
                path = (*path, self._tables[path] - 1)
        return path

    def _pair(self, prefix: KeyPath) -> None:
        start = self.at
        path = prefix
        for key in self._keys():
            path = (*path, key)
            self._note(path, start)
        self.at += 1  # the equals sign
        self._skip(_SPACE)
        self._value(path)

    def _value(self, path: KeyPath) -> None:
        if self._takes("{"):
            self._items(path, "}", table=True)
        elif self._takes("["):
            self._items(path, "]", table=False)
        elif not self._skip(_STRING):
            self._skip(_PLAIN)

    def _items(self, path: KeyPath, end: str, *, table: bool) -> None:
        number = 0
        while True:
            self._skip(_BLANK)
            if self._takes(end):
                return
            if self._takes(","):
                continue
            if table:
                self._pair(path)
            else:
                self._note((*path, number), self.at)
                self._value((*path, number))
                number += 1
            if self.at >= len(self.text):
                raise IndexError("the text ends within a value")

    def _keys(self) -> KeyPath:
        keys: list[str | int] = []
        while True:
            self._skip(_SPACE)
            start = self.at
            if self._skip(_STRING):
                keys.append(tomllib.loads(f"key = {self.text[start : self.at]}")["key"])
            elif self._skip(_BARE):
                keys.append(self.text[start : self.at])
            else:
                raise IndexError("there is no key")
            self._skip(_SPACE)
            if not self._takes("."):
                return tuple(keys)

    def _takes(self, sign: str) -> bool:
        if not self.text.startswith(sign, self.at):
            return False
        self.at += len(sign)
        return True

    def _skip(self, pattern: re.Pattern[str]) -> bool:
        match = pattern.match(self.text, self.at)
        if match is None or match.end() == self.at:
            return False
        self.at = match.end()
        return True

    def _note_header(self, path: KeyPath, position: int) -> None:
        for end in range(1, len(path) + 1):
            self._note(path[:end], position)

    def _note(self, path: KeyPath, position: int) -> None:
        # Positions only grow, so that every line break is counted once.
        self._line += self.text.count("\n", self._counted, position)
        self._counted = max(self._counted, position)
        self.lines.setdefault(path, self._line)
