"""``background-agents completion``: what makes a shell complete our commands."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter

SHELLS = ("bash", "zsh", "fish")

_HOW = """\
To have it in every new shell, add one line to a file:
  bash   ~/.bashrc                    eval "$(background-agents completion bash)"
  zsh    ~/.zshrc, after `compinit`   eval "$(background-agents completion zsh)"
  fish   ~/.config/fish/config.fish   background-agents completion fish | source
"""


def add_arguments(parser: ArgumentParser) -> None:
    """Take the shell."""
    parser.formatter_class = RawDescriptionHelpFormatter
    parser.epilog = _HOW
    parser.add_argument("shell", choices=SHELLS, help="which shell it is for")


def run(given: Namespace) -> None:
    """Print the shell's code; the shell then asks the program itself what may follow."""
    from argcomplete.shell_integration import shellcode

    from background_agents.hosts.cli import NAMES

    # Without readline's own file names, which would stand in for an id that does not exist.
    code = shellcode(NAMES, use_defaults=False, shell=given.shell)
    if given.shell == "zsh":
        for whole, current in _CURRENT_COMMAND.items():
            code = code.replace(whole, current)
    print(code)


_CURRENT_COMMAND = {
    'COMP_LINE="$BUFFER"': 'COMP_LINE="${(j: :)words[1,CURRENT]}"',
    'COMP_POINT="$CURSOR"': 'COMP_POINT="${#${(j: :)words[1,CURRENT]}}"',
}
"""argcomplete gives zsh's whole line, in which the command need not come first (`cd x && ...`)."""
