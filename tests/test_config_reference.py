"""The documents say what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edge.boards import board_names, load_board
from edge.config import Config, reference
from edge.decoding import keys

DOCS = Path(__file__).resolve().parent.parent / "docs"


def test_the_list_of_keys_is_current() -> None:
    document = (DOCS / "configuration.md").read_text(encoding="utf-8")
    assert reference.put_into(document) == document, "run: python -m edge.config.reference docs/configuration.md"


def test_every_key_has_a_meaning_in_the_reference() -> None:
    text = reference.reference()
    for key in keys(Config):
        rows = [line for line in text.splitlines() if line.startswith(f"| `{key.path.rpartition('.')[2]}` ")]
        assert rows, key.path
        for row in rows:
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]]
            assert len(cells) == 5
            assert len(cells[4]) > 5, f"{key.path} has no text under it in edge/config/schema.py"


def test_a_document_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="markers"):
        reference.put_into("# Configuration\n")


def test_the_module_prints_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert reference.main([]) == 0
    assert capsys.readouterr().out == reference.reference()
    file = tmp_path / "doc.md"
    file.write_text(f"before\n{reference.BEGIN}\nstale rows\n{reference.END}\nafter\n", encoding="utf-8")
    assert reference.main([str(file)]) == 0
    text = file.read_text(encoding="utf-8")
    assert text.startswith("before\n")
    assert text.endswith(f"{reference.END}\nafter\n")
    assert "stale rows" not in text
    assert "### [telemetry.mqtt]" in text


def test_the_geometry_document_lists_every_board_with_its_confidence() -> None:
    document = (DOCS / "geometry.md").read_text(encoding="utf-8")
    for name in board_names():
        board = load_board(name)
        row = next((line for line in document.splitlines() if line.startswith(f"| `{name}` ")), "")
        assert row, f"docs/geometry.md does not list {name}"
        cells = [cell.strip() for cell in row.split("|")[1:-1]]
        assert cells[2] == str(len(board.positions_m))
        assert cells[3] == f"`{board.roles}`"
        assert cells[4] == board.source.confidence
