"""Views drawn with Rich: aligned, coloured on a terminal, never cut in a pipe."""

import io

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from codestore.cli.view import Facts, Table, printable

_PIPE_WIDTH = 10_000  # characters: a script's line is never folded
_STYLES = {
    "ready": "green",
    "live": "green",
    "standby": "cyan",
    "deploying": "yellow",
    "waking": "yellow",
    "degraded": "yellow",
    "removing": "yellow",
    "failed": "red",
}


def render(view: Table | Facts, *, terminal: bool) -> str:
    """Return a view as text, without the last line's end."""
    file = io.StringIO()
    width = None if terminal else _PIPE_WIDTH
    console = Console(file=file, force_terminal=terminal, width=width)
    console.print(_facts(view) if isinstance(view, Facts) else _table(view))
    lines = (line.rstrip() for line in file.getvalue().splitlines())
    return "\n".join(lines).rstrip("\n")


def _table(view: Table) -> RichTable:
    table = RichTable(box=None, pad_edge=False, header_style="bold")
    for column in view.columns:
        table.add_column(column.upper(), overflow="fold")
    for row in view.rows:
        table.add_row(*map(_cell, row))
    return table


def _facts(view: Facts) -> RichTable:
    table = RichTable.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for label, value in view.facts:
        table.add_row(Text(label), _cell(value))
    return table


def _cell(value: str) -> Text:
    """Return a cell; its first word may be a state, which has a colour."""
    cell = Text(printable(value))
    word = value.split(" ", 1)[0]
    if word in _STYLES:
        cell.stylize(_STYLES[word], 0, len(word))
    return cell
