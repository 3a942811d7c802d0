"""The command line of the orchestrator: the group of its commands, of which none is loaded before it is asked for."""

from importlib import import_module

import click

COMMANDS = {  # what `--help` says of each, which is how its own help begins
    "compare": "Show the same cells of several runs side by side.",
    "conformance": "Check a running protector, or invader, against the schema, from outside.",
    "doctor": "Say what is wrong with a deployment, and how to mend it.",
    "evaluate": "Run the paper's grid on a data set and print PSR.",
    "protect": "Search for the smallest cloak that hides you in PHOTO, and say what it is worth.",
    "purge": "Remove the pictures of RUN: its cloaks, and those in its report.",
    "replay": "Show the cloaks that RUN kept to another invader, or under other conditions.",
    "report": "Write the report of RUN: one HTML page, its figures, and its data as files.",
    "runs": "List the runs of a folder: what each asks, how far it is, and whether it holds pictures.",
}


class LazyGroup(click.Group):
    """Imports `orchestrator.commands.NAME` when NAME runs or its own help is asked for: some take a second."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """See `click.Group`."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """See `click.Group`."""
        if cmd_name not in COMMANDS:
            return None
        command = getattr(import_module(f"orchestrator.commands.{cmd_name}"), f"{cmd_name}_command")
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """See `click.Group`."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True, "max_content_width": 110},
)
@click.version_option(package_name="face-deid-bench", prog_name="orchestrator", message="%(prog)s %(version)s")
def cli() -> None:
    """Measures how well adversarial cloaks protect face photographs from recognizers they were not made for."""
