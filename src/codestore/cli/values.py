"""Words of the command line as values, without pydantic.

Typer reads them with pydantic, which takes longer to load than most commands take to run. Ours
are of four types only. Should Typer stop asking here, it does it its own way again, more slowly.
"""

from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Any

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

Parameter = TyperArgument | TyperOption


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads the words of one parameter; stands where Typer has its own."""

    parameter: Parameter

    def coerce(self, value: Any, param: Parameter, ctx: typer.Context) -> Any:
        """Return the value that a word (or a default) stands for."""
        kind = self.parameter.type_descriptor.annotation
        if value is None or isinstance(value, kind):
            return value
        try:
            return self._within_bounds(kind(value), ctx)
        except ValueError as error:
            reason = f"{value!r} is not {_expected(kind)}."
            raise typer.BadParameter(reason, ctx=ctx, param=param) from error

    def _within_bounds(self, number: Any, ctx: typer.Context) -> Any:
        bounds = self.parameter.type_descriptor.parameter_info
        least, most = bounds.min, bounds.max
        if (least is not None and number < least) or (most is not None and number > most):
            span = f"at least {least:g}" if most is None else f"from {least:g} to {most:g}"
            raise typer.BadParameter(f"{number} is not {span}.", ctx=ctx, param=self.parameter)
        return number


class LightCommand(TyperCommand):
    """A command whose parameters are read by a :class:`Reader`."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, ``--help`` too."""
        return _lightened(super().get_params(ctx))


class LightGroup(TyperGroup):
    """The same, for what stands before a command."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, ``--help`` too."""
        return _lightened(super().get_params(ctx))


def _lightened(parameters: list[Any]) -> list[Any]:
    for parameter in parameters:
        parameter.get_runtime_param = partial(Reader, parameter)
    return parameters


def _expected(kind: type[Any]) -> str:
    if issubclass(kind, Enum):
        return f"one of {', '.join(str(choice.value) for choice in kind)}"
    return "a whole number" if kind is int else f"a {kind.__name__}"
