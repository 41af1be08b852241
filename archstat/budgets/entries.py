"""One ``[[budget]]`` of a file: every key checked, every mistake noted with its line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from archstat import zoo
from archstat.budgets.rules import (
    GROWING_KEYS,
    RULE_COLUMNS,
    Budget,
    Rule,
    Setup,
    parse_increase,
    parse_rule,
)
from archstat.budgets.setup import SETUP_KEYS, setup_of
from archstat.budgets.wildcards import has_wildcard, matching, silent
from archstat.errors import ArchstatError, SpecError
from archstat.graph import parse_layout
from archstat.hints import did_you_mean
from archstat.models.asked import Asked
from archstat.models.specs import parse_spec
from archstat.units import parse_input

INPUT_KEYS = ("input", "layout", "example")
BUDGET_KEYS = (
    "name",
    "model",
    *INPUT_KEYS,
    "max_increase",
    "informational",
    "message",
    *SETUP_KEYS,
)
RULE_KEYS = tuple(column.key for column in RULE_COLUMNS)
_TWO_SIDES = "a column has one limit, or one from below and one from above."
DEFAULT_GROWING = ("params", "macs")


@dataclass(slots=True)
class EntryReader:
    """Reads one budget; `line_of` gives the line of a key path within it, `report` takes mistakes.

    `folder` is the one that relative files and modules are looked up from; `silent` see Config.
    """

    content: Mapping[str, Any]
    folder: Path
    line: int
    line_of: Callable[..., int]
    report: Callable[[int, str], None]
    rules: list[Rule] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)
    faults: int = 0

    def budgets(self) -> list[Budget]:
        """The budget, one for each model that a wildcard stands for; none if it has mistakes."""
        name, model = self._text("name"), self._text("model")
        message = self._text("message") or ""
        inputs = (*self._inputs(), *self._words())
        self._columns()
        self._max_increase()
        setup = self._setup()
        informational = self.content.get("informational", False)
        if not isinstance(informational, bool):
            self._wrong("informational", "true or false")
        if "model" not in self.content:
            self._fault(self.line, 'this budget has no model; write model = "vgg16".')
        specs = self._specs(model, inputs) if model else []
        if not self.rules and not self.faults:
            example = 'params = "<= 5.3M" or max_increase = "1%"'
            self._fault(self.line, f"this budget has no rule; write {example}.")
        if self.faults:
            return []
        increase = self.content.get("max_increase")
        shown = None if increase is None else _shown(increase)
        return [
            Budget(self._name(name, spec), spec, inputs, tuple(self.rules), shown,
                   bool(informational), message, self.line, setup)
            for spec in specs
        ]  # fmt: skip

    def _fault(self, line: int, text: str) -> None:
        self.faults += 1
        self.report(line, text)

    def _name(self, name: str | None, spec: str) -> str:
        if name is None:
            return spec
        return f"{name}: {spec}" if has_wildcard(str(self.content["model"])) else name

    def _text(self, key: str) -> str | None:
        text = self.content.get(key)
        if text is None:
            return None
        if not isinstance(text, str) or not text.strip():
            self._wrong(key, "text in quotation marks")
            return None
        return text

    def _wrong(self, key: str, wanted: str) -> None:
        self._fault(self.line_of(key), f"{key} = {_shown(self.content[key])} is not {wanted}.")

    def _inputs(self) -> tuple[str, ...]:
        given = self.content.get("input", [])
        texts = given if isinstance(given, list) else [given]
        if not all(isinstance(text, str) for text in texts):
            self._wrong("input", 'a shape without the batch such as "3x224x224", or a list of them')
            return ()
        for text in texts:
            try:
                parse_input(text)
            except ArchstatError as error:
                self._fault(self.line_of("input"), f"input: {error}")
        return tuple(texts)

    def _words(self) -> Iterator[str]:
        """The layout and the example, as they stand among inputs."""
        layout, example = self._text("layout"), self._text("example")
        try:
            yield from Asked(None, parse_layout(layout) if layout else "", example or "").words()
        except ArchstatError as error:
            self._fault(self.line_of("layout"), f"layout: {error}")
        if example and "input" in self.content:
            self._fault(self.line_of("example"), "example makes the inputs: leave input out.")

    def _setup(self) -> Setup:
        given = {key: self.content[key] for key in SETUP_KEYS if key in self.content}
        # also those whose text is wrong, of which one mistake is enough
        written = {key for key in RULE_KEYS if key in self.content}
        ruled = written | {rule.key for rule in self.rules}
        return setup_of(given, ruled, lambda key, text: self._fault(self.line_of(key), text))

    def _columns(self) -> None:
        for key, given in self.content.items():
            texts = given if isinstance(given, list) and given else [given]
            if key in BUDGET_KEYS:
                continue
            if key not in RULE_KEYS and did_you_mean(key, BUDGET_KEYS):
                hint = did_you_mean(key, (*BUDGET_KEYS, *RULE_KEYS))
                self._fault(self.line_of(key), f"there is no key {key!r}.{hint}")
            elif key in RULE_KEYS and not all(isinstance(text, str) for text in texts):
                shown = f'"== {given}"' if type(given) is int else '"<= 5.3M"'
                self._wrong(key, f"a rule; write {key} = {shown}")
            elif all(self._rule(parse_rule, key, str(text), key) for text in texts):
                sides = [rule.operator[0] for rule in self.rules if rule.key == key]
                if len(sides) > 1 and sorted(sides) != ["<", ">"]:
                    self._fault(self.line_of(key), f"{key}: {_TWO_SIDES}")

    def _max_increase(self) -> None:
        given = self.content.get("max_increase")
        if isinstance(given, Mapping):
            for key, share in given.items():
                if isinstance(share, str):
                    self._rule(parse_increase, key, share, "max_increase", key)
                else:
                    self._fault(self.line_of("max_increase", key), _not_a_share(share))
        elif isinstance(given, str):
            named = [rule.key for rule in self.rules if rule.key in GROWING_KEYS]
            for key in dict.fromkeys(named or DEFAULT_GROWING):
                if not self._rule(parse_increase, key, given, "max_increase"):
                    return  # the same text is as wrong for the next column
        elif given is not None:
            self._fault(self.line_of("max_increase"), _not_a_share(given))

    def _rule(self, parse: Callable[[str, str, int], Rule], key: str, text: str,
              *place: str) -> bool:  # fmt: skip
        line = self.line_of(*place)
        try:
            self.rules.append(parse(key, text, line))
        except ArchstatError as error:
            self._fault(line, f"{place[0]}: {error}")
            return False
        return True

    def _specs(self, model: str, inputs: tuple[str, ...]) -> list[str]:
        try:
            specs = [model]
            if has_wildcard(model):
                specs = matching(model, self.folder)
                self.silent += silent(model, self.folder)
            for spec in specs:
                parsed = parse_spec(spec)
                if parsed.scheme == "zoo":
                    zoo.entry(parsed.target)
                own = parsed.input or parsed.resolution or parsed.example
                if own and {"input", "example"} & self.content.keys():
                    raise SpecError(f"{spec!r} gives an input, and so does the budget; keep one.")
                if parsed.batch and "batch" in self.content:
                    raise SpecError(f"{spec!r} gives a batch, and so does the budget; keep one.")
        except ArchstatError as error:
            self._fault(self.line_of("model"), f"model: {error}")
            return []
        return specs


def _not_a_share(value: Any) -> str:
    wanted = 'a percentage such as "1%", or a table such as {params = "1%"}'
    return f"max_increase = {_shown(value)} is not {wanted}."


def _shown(value: Any) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    text = f'"{text}"' if isinstance(value, str) else text
    return text if len(text) <= 60 else f"{text[:60]}..."
