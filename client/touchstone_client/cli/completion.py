"""completion: what makes the shell complete commands and options."""

from __future__ import annotations

from typing import Annotated

import typer

from touchstone_client.cli import output

_SHELLS = ("bash", "zsh", "fish")


def add_to(app: typer.Typer) -> None:
    app.command()(completion)


def completion(shell: Annotated[str, typer.Argument(metavar="bash|zsh|fish", help="Your shell.")]) -> None:
    """Print the script that makes your shell complete commands and options with the Tab key.

    \b
    bash:  touchstone completion bash > ~/.local/share/bash-completion/completions/touchstone
    zsh:   touchstone completion zsh > ~/.zfunc/_touchstone      (with ~/.zfunc in fpath before compinit)
    fish:  touchstone completion fish > ~/.config/fish/completions/touchstone.fish
    """
    if shell not in _SHELLS:
        raise typer.BadParameter(f"{shell!r} is none of {', '.join(_SHELLS)}")
    from typer._completion_shared import get_completion_script

    script = get_completion_script(prog_name="touchstone", complete_var="_TOUCHSTONE_COMPLETE", shell=shell)
    output.data(script.rstrip("\n"))
