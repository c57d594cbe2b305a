"""``tracemark completion``: the script that teaches a shell the commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from cli.command import command
from cli.errors import UsageFault
from cli.output import print_json


@command(name="completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str, as_json: bool) -> None:
    """Print the completion script of SHELL.

    \b
    Examples:
      tracemark completion bash > ~/.local/share/bash-completion/completions/tracemark
      tracemark completion zsh > ~/.zfunc/_tracemark
      tracemark completion fish > ~/.config/fish/completions/tracemark.fish
    """
    from cli.main import tracemark

    made = get_completion_class(shell)
    if made is None:
        raise UsageFault(f"there is no completion for {shell}")
    script = made(tracemark, {}, "tracemark", "_TRACEMARK_COMPLETE").source()
    if as_json:
        print_json({"shell": shell, "script": script})
    else:
        click.echo(script)
