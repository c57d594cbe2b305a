"""The frame of the command line: help, failures, exit codes, profiles, clean output."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from cli.command import command, translate
from cli.errors import EXIT_CODES, CliError, NotFound, Refused, Unexpected, UsageFault, describe
from cli.lazy import LazyGroup
from cli.main import COMMANDS, Root, tracemark
from cli.output import clean
from cli.profile import DEFAULT_URL, load_profile

REPOSITORY = Path(__file__).resolve().parents[2]


def run(*args: str, **kwargs: object) -> subprocess.CompletedProcess[str]:
    """The real command in a process of its own, without a terminal."""
    environment = os.environ | {"NO_COLOR": "1"} | dict(kwargs.pop("env", {}))  # type: ignore[call-overload]
    return subprocess.run(
        [sys.executable, "-m", "cli.main", *args],
        capture_output=True, text=True, timeout=60, cwd=REPOSITORY, env=environment, **kwargs,
    )  # fmt: skip


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("TRACEMARK_URL", "TRACEMARK_API_KEY", "TRACEMARK_PROFILE", "TRACEMARK_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TRACEMARK_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("TRACEMARK_STATE", str(tmp_path / "state"))


def all_commands(
    group: click.Group = tracemark, path: tuple[str, ...] = ()
) -> list[tuple[tuple[str, ...], click.Command]]:
    """Every command and group with its path."""
    found: list[tuple[tuple[str, ...], click.Command]] = []
    context = click.Context(group)
    for name in group.list_commands(context):
        inner = group.get_command(context, name)
        assert inner is not None
        found.append(((*path, name), inner))
        if isinstance(inner, click.Group):
            found += all_commands(inner, (*path, name))
    return found


def test_help_answers_at_once() -> None:
    """A heavy import that crept into the top module (processor time: the machine may be busy)."""
    least = 9.0
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = run("--help")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        least = min(least, used)
        assert done.returncode == 0
    assert least < 0.4


def test_top_help_imports_no_command() -> None:
    """A table entry that is resolved for its help text."""
    code = (
        "import sys\nfrom cli.main import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'httpx', 'rich', 'fastapi', 'pydantic', 'sqlalchemy', 'grpc'}\n"
        "heavy &= set(sys.modules)\n"
        "print('HEAVY', sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "HEAVY []" in done.stdout


def test_every_command_of_the_table_loads_and_has_that_name() -> None:
    """A renamed module or attribute, which only its user would notice."""
    context = click.Context(tracemark)
    for name, (_, _, told) in COMMANDS.items():
        made = tracemark.get_command(context, name)
        assert made is not None
        assert made.name == name
        assert told.endswith(".")


def test_every_command_has_help_and_json() -> None:
    """A command without an example to copy, or one that a program cannot read."""
    for path, made in all_commands():
        assert made.help, path
        if isinstance(made, click.Group):
            continue
        assert "--json" in {flag for param in made.params for flag in param.opts}, path


def test_unknown_command_is_usage_and_suggests() -> None:
    done = run("certificat")
    assert done.returncode == 2
    assert "Did you mean 'certificate'" in done.stderr
    assert "Traceback" not in done.stderr


def test_nobody_listening_is_unreachable_not_a_traceback() -> None:
    done = run("participant", "list", "--url", "http://127.0.0.1:9", "--json")
    assert done.returncode == 4
    assert json.loads(done.stdout)["error"]["code"] == "UNREACHABLE"
    assert "Traceback" not in done.stderr


def test_closed_pipe_is_no_failure() -> None:
    """`tracemark ... | head` ending in a traceback."""
    done = subprocess.run(
        f"{sys.executable} -m cli.main epcis hash tests/data/stories | head -1",
        shell=True, capture_output=True, text=True, cwd=REPOSITORY, timeout=60,
    )  # fmt: skip
    assert done.stdout.startswith("ni:///sha-256;")
    assert done.stderr == ""


def test_completion_scripts_name_the_program() -> None:
    for shell in ("bash", "zsh", "fish"):
        done = CliRunner().invoke(tracemark, ["completion", shell])
        assert done.exit_code == 0
        assert "_TRACEMARK_COMPLETE" in done.output


def test_completion_completes_commands() -> None:
    done = run(env={"_TRACEMARK_COMPLETE": "bash_complete", "COMP_WORDS": "tracemark cert",
                    "COMP_CWORD": "1"})  # fmt: skip
    assert "certificate" in done.stdout


def test_every_failure_has_an_exit_code_of_the_table() -> None:
    """An error class whose code no document explains."""
    kinds = [CliError]
    for kind in kinds:
        kinds += kind.__subclasses__()
        assert kind.exit_code in EXIT_CODES


def failing(error: BaseException) -> Root:
    """The frame with one command that fails with `error`."""

    @command(name="fail")
    def fail(as_json: bool) -> None:
        raise error

    root = Root("tracemark", lazy={})
    root.add_command(fail)
    return root


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Refused("no", code="NOT_HOLDER", where="/events/0"), 3),
        (NotFound("nothing"), 6),
        (KeyboardInterrupt(), 130),
        (click.Abort(), 130),
        (PermissionError(13, "Permission denied", "x.json"), 2),
        (ZeroDivisionError("division"), 70),
        (click.UsageError("what"), 2),
    ],
)
def test_exit_codes(error: BaseException, code: int) -> None:
    """A failure that ends as success, or as a traceback."""
    done = CliRunner().invoke(failing(error), ["fail"])
    assert done.exit_code == code
    assert "Traceback" not in done.output


def test_json_failures_are_json() -> None:
    error = Refused("no", "NOT_HOLDER", "/e/0", [{"index": 1, "code": "A", "message": "b"}])
    done = CliRunner().invoke(failing(error), ["fail", "--json"])
    told = json.loads(done.stdout)["error"]
    assert told == {
        "message": "no", "exit_code": 3, "code": "NOT_HOLDER", "where": "/e/0",
        "errors": [{"index": 1, "code": "A", "message": "b"}],
    }  # fmt: skip


def test_text_failures_name_place_code_and_parts() -> None:
    error = Refused("no", "X", "/a", [{"where": "/a/1", "code": "Y", "message": "z"}], hint="try b")
    done = CliRunner().invoke(failing(error), ["fail"])
    assert done.stderr.splitlines() == ["error: no (at /a) [X]", "  /a/1  Y  z", "  try b"]


def test_parts_without_pointer_name_the_event() -> None:
    assert describe({"index": 4, "code": "C", "message": "m"}) == "event 4  C  m"


def test_errors_of_lower_layers_are_usage_or_refusal() -> None:
    """A layer's own exception that reaches the user as `unexpected`."""
    from chaincode.errors import Refusal
    from nodes.errors import AlreadyOpen, DescriptionError

    assert isinstance(translate(Refusal("NOT_FOUND", "there is none")), Refused)
    assert isinstance(translate(DescriptionError("no network")), UsageFault)
    assert "7" in translate(AlreadyOpen("home", 7)).message
    assert isinstance(translate(RuntimeError("?")), Unexpected)


def test_profile_order_option_environment_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A stale environment variable that wins over what was typed."""
    assert load_profile().url == DEFAULT_URL
    folder = tmp_path / "config"
    folder.mkdir()
    (folder / "config.toml").write_text(
        'default = "a"\n[profile.a]\nurl = "http://a.example/"\napi_key = "tmk_a"\n'
        '[profile.b]\nurl = "http://b.example"\n'
    )
    assert load_profile().url == "http://a.example"
    assert load_profile("b").url == "http://b.example"
    assert load_profile("b").api_key == ""
    monkeypatch.setenv("TRACEMARK_URL", "http://c.example")
    assert load_profile().url == "http://c.example"
    assert load_profile(url="http://d.example").url == "http://d.example"
    assert load_profile(api_key="tmk_e").api_key == "tmk_e"


@pytest.mark.parametrize("content", ["profile = 3", "[profile.a\n", 'default = "zz"'])
def test_unusable_profiles_are_usage_faults(tmp_path: Path, content: str) -> None:
    folder = tmp_path / "config"
    folder.mkdir()
    (folder / "config.toml").write_text(content)
    with pytest.raises(UsageFault):
        load_profile("a")


def test_url_without_scheme_is_refused() -> None:
    with pytest.raises(UsageFault, match="http://"):
        load_profile(url="localhost:8000")


@given(st.text())
def test_clean_text_cannot_steer_the_terminal(text: str) -> None:
    """An escape sequence or a right-to-left override in a document that rewrites the screen."""
    shown = clean(text)
    assert not any(ord(char) < 32 or char in "\x7f\x9b\u202e\u2066\u2028" for char in shown)
    assert len(shown) == len(text)


def test_lazy_group_lists_in_table_order() -> None:
    group = LazyGroup("g", lazy={"z": ("m", "z", "Z."), "a": ("m", "a", "A.")})
    assert group.list_commands(click.Context(group)) == ["z", "a"]
