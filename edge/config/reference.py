"""Every configuration key as Markdown, made from the dataclasses.

`python -m edge.config.reference` prints it; `python -m edge.config.reference docs/configuration.md` puts it into the
document between its two markers.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edge.config import schema
from edge.decoding import NUMBER_OR_WORD, Choice, Range, fields_of, show

BEGIN = "<!-- keys: made by python -m edge.config.reference docs/configuration.md -->"
END = "<!-- end of keys -->"

_UNITS = {
    "m": "metres",
    "deg": "degrees",
    "hz": "Hz",
    "db": "dB",
    "dbfs": "dBFS",
    "s": "seconds",
    "us": "microseconds",
    "ms": "milliseconds",
    "frames": "frames",
}
_TYPES = {"bool": "true or false", "int": "whole number", "float": "number", "str": "string"}


def reference() -> str:
    """The Markdown of all sections, one table each."""
    texts = _texts()
    return "\n".join(_section(schema.Config, "", texts)).rstrip() + "\n"


def _section(cls: type, path: str, texts: dict[tuple[str, str], str]) -> list[str]:
    lines = [f"### [{path}]" if path else "### (top of the file)", ""]
    documentation = inspect.getdoc(cls) or ""
    if path and documentation and not documentation.startswith(cls.__name__ + "("):
        lines += [documentation, ""]
    lines += ["| key | unit | what is allowed | default | meaning |", "|---|---|---|---|---|"]
    below: list[str] = []
    for field, hint, constraints in fields_of(cls):
        if dataclasses.is_dataclass(hint):
            below += _section(hint, f"{path}.{field.name}" if path else field.name, texts)  # type: ignore[arg-type]
            continue
        text = texts.get((cls.__name__, field.name), "")
        text = text.replace("<", "&lt;").replace("|", "\\|")
        row = (f"`{field.name}`", _unit(field.name), _allowed(hint, constraints), _default(field.default), text)
        lines.append("| " + " | ".join(row) + " |")
    return [*lines, "", *below]


def _unit(name: str) -> str:
    return _UNITS.get(name.rpartition("_")[2], "") if "_" in name else ""


def _allowed(hint: Any, constraints: tuple[Any, ...]) -> str:
    if hint == NUMBER_OR_WORD:
        return " or ".join(_allowed(kind, (c,)) for kind, c in zip((float, str), constraints, strict=True))
    for constraint in constraints:
        if isinstance(constraint, Choice):
            values = ", ".join(f"`{value}`" for value in constraint.values)
            return values if hint is str else f"list out of {values}"
    if hint == tuple[tuple[float, float, float], ...]:
        return "list of `[x, y, z]`"
    kind = _TYPES.get(getattr(hint, "__name__", ""), "")
    if hint == tuple[float, ...]:
        kind = "list of numbers"
    limits = next((c for c in constraints if isinstance(c, Range)), None)
    return f"{kind} {limits}" if limits else kind


def _default(value: Any) -> str:
    if isinstance(value, float):
        return f"`{value:g}`" if value != int(value) else f"`{value:.1f}`"
    return f"`{show(value)}`"


def _texts() -> dict[tuple[str, str], str]:
    """(class, field) -> the string written under the field; Python itself keeps these only in the source."""
    found: dict[tuple[str, str], str] = {}
    for cls in ast.parse(inspect.getsource(schema)).body:
        if not isinstance(cls, ast.ClassDef):
            continue
        for statement, after in zip(cls.body, cls.body[1:], strict=False):
            match statement, after:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                    found[cls.name, name] = " ".join(text.split())
    return found


def put_into(document: str) -> str:
    """`document` with everything between the markers replaced. Raises ValueError if it has no markers."""
    head, found, rest = document.partition(BEGIN)
    _, also, tail = rest.partition(END)
    if not (found and also):
        raise ValueError("the document has no pair of markers for the keys")
    return f"{head}{BEGIN}\n\n{reference()}\n{END}{tail}"


def main(argv: Sequence[str]) -> int:
    if not argv:
        print(reference(), end="")
        return 0
    path = Path(argv[0])
    path.write_text(put_into(path.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
