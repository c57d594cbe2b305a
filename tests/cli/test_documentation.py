"""The reference and the README speak of commands that exist, and of all of them."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from cli.errors import EXIT_CODES
from tests.cli.test_core import all_commands

REPOSITORY = Path(__file__).resolve().parents[2]
REFERENCE = (REPOSITORY / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
COMMANDS = {" ".join(path): command for path, command in all_commands()}
LEAVES = {name: c for name, c in COMMANDS.items() if not isinstance(c, click.Group)}


@pytest.mark.parametrize("name", LEAVES)
def test_every_command_is_in_the_reference(name: str) -> None:
    """A command nobody can find."""
    assert re.search(rf"\| `tracemark {re.escape(name)}[ `]", REFERENCE), name


def test_every_exit_code_is_in_the_reference() -> None:
    rows = dict(re.findall(r"^\| (\d+) \| (.+) \|$", REFERENCE, re.MULTILINE))
    assert rows == {str(code): meaning for code, meaning in EXIT_CODES.items()}


def resolve(words: list[str]) -> tuple[str, click.Command, list[str]]:
    """The command that starts `words`, and the words left."""
    for length in (2, 1):
        name = " ".join(words[:length])
        if name in LEAVES:
            return name, LEAVES[name], words[length:]
    raise AssertionError(f"there is no command tracemark {' '.join(words)}")


def written_commands() -> list[tuple[str, str]]:
    """Every ``tracemark ...`` of the documents' code, with the document's name."""
    found = []
    files = [REPOSITORY / "README.md", *(REPOSITORY / "docs").rglob("*.md")]
    files += [REPOSITORY / "network-config" / "README.md"]
    for file in files:
        text = file.read_text(encoding="utf-8")
        blocks = re.findall(r"^ *```[a-z]*\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
        code = [line for block in blocks for line in block.splitlines()]
        code += re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
        for line in code:
            for match in re.finditer(
                r"(?:^|[;&|] *)(?:\.venv/bin/)?tracemark ([a-z][^#;&]*)", line
            ):
                found.append((file.name, match[1].strip()))
    return found


def test_documents_name_only_commands_and_options_that_exist() -> None:
    """A README whose first command fails."""
    commands = written_commands()
    assert len(commands) > 30
    for file, text in commands:
        text = text.replace("\\|", " ").replace("|", " ")
        words = text.split()
        if len(words) == 1 and words[0] in COMMANDS:
            continue
        name, command, rest = resolve(words)
        options = {option for param in command.params for option in param.opts} | {"--help", "-h"}
        for word in rest:
            if word.startswith("--") and len(word) > 2:
                assert word.partition("=")[0] in options, (file, name, word)


def test_examples_in_help_texts_use_options_that_exist() -> None:
    """An example to copy that fails."""
    examples = 0
    for name, command in LEAVES.items():
        for line in re.sub(r"\\\n\s*", " ", command.help or "").splitlines():
            match = re.search(r"(?:^|\| )\s*tracemark ([a-z].*)", line)
            if match is None:
                continue
            examples += 1
            first = re.split(r" (?:[&|]|>) ", match[1] + " ")[0]
            _, found, rest = resolve(first.split())
            options = {option for param in found.params for option in param.opts}
            for word in rest:
                if word.startswith("--"):
                    assert word in options, (name, line)
    assert examples > 40
