"""The one place that prints: answers on standard output, everything else on standard error."""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from codestore.cli.loading import load
from codestore.cli.view import Lines, Table, View, printable
from codestore.wire import Problem


class Form(StrEnum):
    """What ``--output`` chooses from."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


@dataclass(frozen=True, slots=True)
class Output:
    """Prints in one form."""

    form: Form = Form.TABLE

    def answer(self, document: Any, view: Callable[[Any], View]) -> None:
        """Print an answer, whole."""
        match self.form:
            case Form.JSON:
                print(json.dumps(document, indent=2, ensure_ascii=False))
            case Form.YAML:
                print(load("forms.yaml").render(document))
            case Form.TABLE:
                self._view(view(document))

    def piece(self, document: Any, line: Callable[[Any], str]) -> None:
        """Print one piece of an endless answer: a line, in JSON too, or a YAML document."""
        match self.form:
            case Form.JSON:
                print(json.dumps(document, ensure_ascii=False), flush=True)
            case Form.YAML:
                print(f"---\n{load('forms.yaml').render(document)}", flush=True)
            case Form.TABLE:
                print(printable(line(document)), flush=True)

    def aside(self, line: str) -> None:
        """Print what belongs to the answer for people, and is in a script's way."""
        print(printable(line), file=sys.stdout if self.form is Form.TABLE else sys.stderr)

    def note(self, line: str) -> None:
        """Print what happens meanwhile."""
        sys.stdout.flush()
        print(printable(line), file=sys.stderr, flush=True)

    def problem(self, problem: Problem) -> None:
        """Print an error: a letter for people, one line of problem JSON for scripts."""
        if self.form is Form.JSON:
            self.note(json.dumps(asdict(problem)))
            return
        lines = [problem.title, problem.detail]
        named = (("where", problem.where), ("hint", problem.hint), ("code", problem.code))
        lines += [f"{label:<5} {value}" for label, value in named if value]
        self.note("\n  ".join(line.replace("\n", "\n  ") for line in lines if line))

    def _view(self, view: View) -> None:
        if isinstance(view, Lines):
            print("\n".join(map(printable, view.lines)), end="\n" if view.lines else "")
        elif isinstance(view, Table) and not view.rows:
            print(view.empty)
        else:
            print(load("forms.table").render(view, terminal=sys.stdout.isatty()))
