"""TOML tables to frozen dataclasses, driven by the dataclasses' own annotations; collects every problem found."""

from __future__ import annotations

import codecs
import dataclasses
import difflib
import math
import stat
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

from edge.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

T = TypeVar("T")

MAX_TOML_BYTES = 2**20
NUMBER_OR_WORD = float | str
"""type of a key that is a number in a `Range` or a word of a `Choice`, its constraints in this order"""


@dataclasses.dataclass(frozen=True)
class Range:
    """Least and greatest number allowed, both included."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"from {self.low:.10g} to {self.high:.10g}"


@dataclasses.dataclass(frozen=True)
class Choice:
    """The only strings allowed."""

    values: tuple[str, ...]

    def __init__(self, *values: str) -> None:
        object.__setattr__(self, "values", values)

    def __str__(self) -> str:
        return " or ".join([*([", ".join(self.values[:-1])] if len(self.values) > 1 else []), self.values[-1]])


@dataclasses.dataclass(frozen=True)
class Key:
    """One leaf of a dataclass tree: dotted path, type without Annotated, its constraints, its default."""

    path: str
    type: Any
    constraints: tuple[Any, ...]
    default: Any


@cache
def keys(cls: type) -> tuple[Key, ...]:
    """Every leaf key of a tree of dataclasses, in order of declaration."""
    return tuple(_walk(cls, ""))


def value_at(instance: Any, path: str) -> Any:
    """What a tree of dataclasses holds under a dotted path such as "input.rate_hz"."""
    for name in path.split("."):
        instance = getattr(instance, name)
    return instance


def _walk(cls: type, prefix: str) -> Iterator[Key]:
    for field, hint, constraints in fields_of(cls):
        path = prefix + field.name
        if dataclasses.is_dataclass(hint):
            yield from _walk(hint, path + ".")  # type: ignore[arg-type]
        else:
            yield Key(path, hint, constraints, field.default)


def fields_of(cls: type) -> list[tuple[dataclasses.Field[Any], Any, tuple[Any, ...]]]:
    """(field, plain type, constraints) of one dataclass."""
    hints = get_type_hints(cls, include_extras=True)
    found = []
    for field in dataclasses.fields(cls):
        hint = hints[field.name]
        if get_origin(hint) is Annotated:
            plain, *constraints = get_args(hint)
            found.append((field, plain, tuple(constraints)))
        else:
            found.append((field, hint, ()))
    return found


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """Parse a TOML file. Raises ConfigError with one sentence if it is missing, unreadable or not TOML."""
    data = _read_regular_file(path, what)
    try:
        # some editors begin a file with a byte order mark
        return tomllib.loads(data.removeprefix(codecs.BOM_UTF8).decode("utf-8"))
    except UnicodeDecodeError as error:
        start = error.start + len(data) - len(error.object)
        line = data.count(b"\n", 0, start) + 1
        raise ConfigError(f"byte {start} (line {line}) is not UTF-8; expected TOML in UTF-8", str(path)) from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        detail = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise ConfigError(f"not valid TOML: {detail}", str(path)) from None
    except ValueError:  # what Python refuses to make a number of
        raise ConfigError(
            "a number in it has thousands of digits, which no key takes; write a shorter one", str(path)
        ) from None


def _read_regular_file(path: Path, what: str) -> bytes:
    """The bytes of a file that has an end. Raises ConfigError with one sentence."""
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            kind = "folder" if stat.S_ISDIR(mode) else "device, pipe or socket"
            raise ConfigError(f"this is a {kind}; expected a {what} in TOML", str(path))
        with path.open("rb") as file:
            data = file.read(MAX_TOML_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(f"no such {what}; expected a TOML file", str(path)) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"cannot read the {what}: {reason}", str(path)) from None
    if len(data) > MAX_TOML_BYTES:
        raise ConfigError(f"larger than 1 MiB; expected a {what} in TOML of a few KiB", str(path))
    return data


class Decoder:
    """Decodes one table into `cls`. After decode(): what was wrong, which keys were given, which of them were bad."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.given: set[str] = set()
        self.bad: set[str] = set()

    def decode(self, cls: type[T], table: Any, root: type | None = None, prefix: str = "") -> T:
        """Instance of `cls` with defaults where a key is absent or bad; problems collected, never raised."""
        root = root or cls
        if not isinstance(table, dict):
            self._problem(prefix.rstrip("."), f"got {show(table)}, expected a section [{prefix.rstrip('.')}]")
            self.bad.update(k.path for k in keys(root) if k.path.startswith(prefix))
            table = {}
        values: dict[str, Any] = {}
        known = {field.name: (field, hint, constraints) for field, hint, constraints in fields_of(cls)}
        for name in table:
            if name not in known:
                self._problem(prefix + str(name), "unknown key" + _suggest(str(name), prefix, list(known), root))
        for name, (field, hint, constraints) in known.items():
            path = prefix + name
            if dataclasses.is_dataclass(hint):
                values[name] = self.decode(hint, table.get(name, {}), root, path + ".")  # type: ignore[arg-type]
            elif name in table:
                self.given.add(path)
                value = self._value(path, table[name], hint, constraints)
                if value is not None:
                    values[name] = value
            elif field.default is dataclasses.MISSING:
                self._problem(path, f"missing; expected {expected(hint, constraints)}")
                self.bad.add(path)
            if name not in values and field.default is dataclasses.MISSING and not dataclasses.is_dataclass(hint):
                values[name] = _blank(hint)
        return cls(**values)

    def _problem(self, path: str, text: str) -> None:
        self.problems.append(one_line(f"{path}: {text}"))

    def _value(self, path: str, raw: Any, hint: Any, constraints: tuple[Any, ...]) -> Any:
        """The decoded value, or None after reporting what is wrong with it."""
        value = _convert(raw, hint)
        wrong = f"got {show(raw)}, expected {expected(hint, constraints)}"
        if value is None:
            self._problem(path, wrong)
        else:
            for constraint in constraints:
                suggestion = _violation(value, constraint)
                if suggestion is not None:
                    self._problem(path, wrong + suggestion)
                    value = None
                    break
        if value is None:
            self.bad.add(path)
        return value


def _violation(value: Any, constraint: Any) -> str | None:
    """None if `value` meets the constraint, else what to append to the problem (maybe empty)."""
    items = value if isinstance(value, tuple) else (value,)
    if isinstance(constraint, Range):
        numbers = (item for item in items if not isinstance(item, str))
        return None if all(constraint.low <= number <= constraint.high for number in numbers) else ""
    for item in items:
        if isinstance(item, str) and item not in constraint.values:
            return did_you_mean(item, constraint.values)
    return None


def fitting(raw: Any, key: Key) -> Any:
    """The value of a key that `raw` stands for, or None where it is of another kind or out of its limits."""
    value = _convert(raw, key.type)
    return value if value is not None and all(_violation(value, c) is None for c in key.constraints) else None


def did_you_mean(word: str, candidates: tuple[str, ...] | list[str]) -> str:
    """'; did you mean X?' for the nearest candidate, or nothing."""
    lowered = {c.lower(): c for c in candidates}
    near = difflib.get_close_matches(word.lower(), list(lowered), n=1, cutoff=0.6)
    return f"; did you mean {lowered[near[0]]}?" if near else ""


def _suggest(name: str, prefix: str, siblings: list[str], root: type) -> str:
    near = did_you_mean(name, siblings)
    if near:
        return near
    elsewhere = [k.path for k in keys(root) if k.path.rpartition(".")[2] == name]
    if elsewhere:
        return f"; did you mean {' or '.join(elsewhere)}?"
    return f"; expected one of {', '.join(siblings)}"


def _convert(raw: Any, hint: Any) -> Any:
    """`raw` as `hint`, or None if it is of another kind or not finite. TOML has no null, so None is free."""
    if hint is bool:
        return raw if isinstance(raw, bool) else None
    if isinstance(raw, bool):
        return None
    if hint is int:
        return raw if isinstance(raw, int) else None
    if hint is float:
        if not isinstance(raw, (int, float)):
            return None
        try:
            number = float(raw)
        except OverflowError:
            return None
        return number if math.isfinite(number) else None
    if hint is str:
        return raw if isinstance(raw, str) and "\0" not in raw else None
    if hint == NUMBER_OR_WORD:
        return _convert(raw, str if isinstance(raw, str) else float)
    inner = get_args(hint)
    if not isinstance(raw, (list, tuple)):
        return None
    if inner[-1] is not Ellipsis and len(raw) != len(inner):
        return None
    types = inner if inner[-1] is not Ellipsis else [inner[0]] * len(raw)
    items = tuple(_convert(item, kind) for item, kind in zip(raw, types, strict=True))
    return None if any(item is None for item in items) else items


def one_line(text: str, longest: int = 600) -> str:
    """`text` without line breaks and control characters (what the reader wrote is quoted in it), shortened."""
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
    return text if len(text) <= longest else text[: longest - 4] + " ..."


def _blank(hint: Any) -> Any:
    return {str: "", int: 0, float: 0.0, bool: False}.get(hint, ())


def expected(hint: Any, constraints: tuple[Any, ...] = ()) -> str:
    """What a value has to be, in words."""
    if hint == NUMBER_OR_WORD:
        return " or ".join(expected(kind, (c,)) for kind, c in zip((float, str), constraints, strict=True))
    limit = " ".join(str(c) for c in constraints)
    words = {bool: "true or false", int: "a whole number", float: "a finite number", str: "a string in quotes"}
    if hint in words:
        if any(isinstance(c, Choice) for c in constraints):
            return limit
        return f"{words[hint]} {limit}".rstrip()
    inner = get_args(hint)
    if inner[0] is str:
        return f"a list of strings out of {limit}" if limit else "a list of strings"
    if get_args(inner[0]):
        return "a list of [x, y, z], three finite numbers each"
    return f"a list of finite numbers {limit}".rstrip()


def show(raw: Any) -> str:
    """A value as the reader wrote it, shortened."""
    if isinstance(raw, bool):
        text = "true" if raw else "false"
    elif isinstance(raw, str):
        text = f'"{one_line(raw)}"'
    elif isinstance(raw, dict):
        text = "a section"
    elif isinstance(raw, (list, tuple)):
        text = "[" + ", ".join(show(item) for item in raw[:8]) + (", ...]" if len(raw) > 8 else "]")
    else:
        text = str(raw) if not isinstance(raw, int) or raw.bit_length() < 200 else "a number of more than 60 digits"
    return text if len(text) <= 80 else text[:76] + " ..."
