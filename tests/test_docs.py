"""What documents and code point to exists: paths below docs/, relative links, and the headings that links name."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TEXT = {".cfg", ".conf", ".in", ".ini", ".md", ".py", ".rules", ".service", ".sh", ".toml", ".txt", ".yaml", ".yml"}

_DOCS_PATH = re.compile(r"(?<![\w/.-])docs/[\w./-]*\w")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(.+?) *#*$", re.MULTILINE)
_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def project_files() -> list[Path]:
    """Files of the project: those that git knows, or in an archive everything that is not hidden or built."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    git = shutil.which("git") is not None
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False) if git else None
    if listed and listed.returncode == 0:
        found = [ROOT / name for name in listed.stdout.split("\0") if name]
    else:
        built = {"build", "dist", "__pycache__"}
        found = [
            path
            for path in ROOT.rglob("*")
            if not any(part.startswith(".") or part in built for part in path.relative_to(ROOT).parts)
        ]
    return sorted(path for path in found if path.is_file() and (path.suffix in TEXT or path.name == "Makefile"))


FILES = project_files()
DOCUMENTS = [path for path in FILES if path.suffix == ".md"]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def anchors(document: Path) -> set[str]:
    """Anchors of the headings of a document, as code hosts make them."""
    headings = _HEADING.findall(_FENCED.sub("", document.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_there_are_documents_to_look_at():
    assert {"README.md", "docs/audio-devices.md"} <= {name_of(path) for path in DOCUMENTS}


def test_every_path_below_docs_that_is_named_exists():
    missing = [
        f"{name_of(path)} names {named}"
        for path in FILES
        if path != Path(__file__).resolve()
        for named in _DOCS_PATH.findall(path.read_text(encoding="utf-8"))
        if not (ROOT / named).exists()
    ]
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_relative_link_leads_somewhere(document):
    text = _FENCED.sub("", document.read_text(encoding="utf-8"))
    broken = []
    for link in _LINK.findall(text):
        if re.match(r"[a-z][a-z+.-]*:", link):
            continue  # of another site
        target, _, heading = link.partition("#")
        path = (document.parent / target).resolve() if target else document
        if not path.exists() or (heading and path.suffix == ".md" and heading not in anchors(path)):
            broken.append(link)
    assert broken == []
