"""The `edge` command itself: quick help, one sentence per error, exit codes."""

import os
import re
import signal
import subprocess
import sys
import types
from pathlib import Path

import pytest

import edge
from edge import errors
from edge.cli import main as cli

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def subcommand(monkeypatch):
    """Makes `edge check` do something else: give it a function of the arguments."""

    def install(action):
        module = types.ModuleType("edge_test_subcommand")
        module.add_parser = lambda subparsers: subparsers.add_parser("check")
        module.run = action
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setitem(cli.SUBCOMMANDS, "check", (module.__name__, "test"))

    return install


def raiser(error):
    def run(args):
        raise error

    return run


@pytest.mark.parametrize(
    "name", ["UsageError", "ConfigError", "DeviceError", "ModelError", "AudioFileError", "TelemetryError"]
)
def test_each_error_is_one_sentence_with_its_exit_code(subcommand, capsys, name):
    kind = getattr(errors, name)
    subcommand(raiser(kind("the sentence")))
    assert cli.main(["check"]) == kind.exit_code
    captured = capsys.readouterr()
    assert captured.err == "edge: the sentence\n"
    assert captured.out == ""


def test_an_unexpected_error_is_one_sentence_with_the_hint(subcommand, capsys, monkeypatch):
    monkeypatch.delenv("EDGE_DEBUG", raising=False)
    subcommand(raiser(ZeroDivisionError("of two\nlines")))
    assert cli.main(["check"]) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "ZeroDivisionError: of two lines" in err
    assert "EDGE_DEBUG=1" in err


def test_edge_debug_shows_the_traceback(subcommand, capsys, monkeypatch):
    monkeypatch.setenv("EDGE_DEBUG", "1")
    subcommand(raiser(errors.DeviceError("gone")))
    assert cli.main(["check"]) == 4
    assert "Traceback" in capsys.readouterr().err


def test_interrupted_is_130(subcommand, capsys):
    subcommand(raiser(KeyboardInterrupt()))
    assert cli.main(["check"]) == 130
    assert capsys.readouterr().err == "edge: interrupted\n"


def test_success_is_0(subcommand):
    subcommand(lambda args: None)
    assert cli.main(["check"]) == 0


@pytest.mark.parametrize("arguments", [[], ["rum"], ["run"], ["check", "--no-such-option"]])
def test_a_wrong_command_line_is_2(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(arguments)
    assert stopped.value.code == 2
    assert "usage: edge" in capsys.readouterr().err


def test_version(capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out == f"edge {edge.__version__}\n"


def test_help_names_every_subcommand_and_exit_code(capsys):
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    text = capsys.readouterr().out
    for name in cli.SUBCOMMANDS:
        assert re.search(rf"^    {name}( |$)", text, re.MULTILINE)
    for kind in (*errors.EdgeError.__subclasses__(), errors.EdgeError):
        assert re.search(rf"^  {kind.exit_code}  ", text, re.MULTILINE)
    for code in (cli.EXIT_INTERRUPTED, cli.EXIT_BROKEN_PIPE):
        assert re.search(rf"^  {code}  ", text, re.MULTILINE)
    assert "unfit to calibrate with" in text


@pytest.mark.parametrize("name", sorted(cli.SUBCOMMANDS))
def test_every_subcommand_has_help(name, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main([name, "--help"])
    assert stopped.value.code == 0
    assert f"usage: edge {name}" in capsys.readouterr().out


def test_help_and_version_load_nothing_heavy():
    code = "import sys; from edge.cli.main import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
    code += (
        "print(sorted({name.split('.')[0] for name in sys.modules} & {'numpy', 'numba', 'onnxruntime', 'soundfile'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_reader_that_has_gone_is_no_error(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "edge", "check", "--boards", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    )
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(60) == cli.EXIT_BROKEN_PIPE == 128 + signal.SIGPIPE


def test_the_documented_exit_codes_are_the_real_ones():
    table = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)}
    codes = {kind.exit_code for kind in (*errors.EdgeError.__subclasses__(), errors.EdgeError)}
    assert documented == codes | {0, cli.EXIT_INTERRUPTED, cli.EXIT_BROKEN_PIPE}


def test_every_option_is_documented():
    text = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    for name in cli.SUBCOMMANDS:
        assert f"## edge {name}\n" in text
    for name in ("run", "demo", "enhance", "warmup", "bench", "doctor", "pattern", "calibrate", "analyze", "qa"):
        parser = cli._parser(name)
        actions = parser._subparsers._group_actions[0].choices[name]._actions
        section = text.split(f"## edge {name}\n")[1].split("\n## ")[0]
        options = {option for action in actions for option in action.option_strings if option.startswith("--")}
        assert {option for option in options - {"--help"} if option not in section} == set(), name


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    ("redirection", "code", "words"),
    [
        (">&-", 0, ""),
        ("2>&-", 0, ""),
        ("<&- >&- 2>&-", 0, ""),
        (">/dev/full", 1, "edge: standard output cannot be written (No space left on device)\n"),
    ],
)
def test_standard_streams_that_are_closed_or_full(tmp_path, redirection, code, words, unbuffered):
    if "full" in redirection and not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    (tmp_path / "edge.toml").write_text("[array]\npositions_m = [[0, 0, 0]]\n")
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" -m edge check {redirection} "$1"', sys.executable, str(tmp_path / "edge.toml")],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
    )
    assert (done.returncode, done.stderr) == (code, words)
