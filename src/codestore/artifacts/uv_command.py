"""uv, as this room calls it: wheels only, no downloads of Python, no word of a secret."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from codestore.artifacts.processes import run
from codestore.artifacts.refusals import build_failed

_LINES = 20
_CREDENTIALS = re.compile(r"(?<=://)[^/\s@]+@")
_SECRET_NAME = re.compile(r"PASSWORD|TOKEN|SECRET|USERNAME|CREDENTIAL", re.IGNORECASE)
_HIDDEN = "[hidden]"
_ALWAYS = {
    "NO_COLOR": "1",
    "UV_COMPILE_BYTECODE": "1",  # or the first start of a service pays for it
    "UV_NO_PROGRESS": "1",
    "UV_PYTHON_DOWNLOADS": "never",
}


@dataclass(frozen=True, slots=True)
class Uv:
    """Calls the uv binary with the environment it was given; ``timeout`` seconds for each call."""

    binary: Path
    environment: Mapping[str, str]
    timeout: float

    async def __call__(self, *words: str, cwd: Path, venv: Path) -> None:
        """Run a command in ``cwd``, about ``venv``. Raises a ``build_failed`` fault.

        The fault's detail ends with what uv said last, without credentials.
        """
        about = {"VIRTUAL_ENV": str(venv), "UV_PROJECT_ENVIRONMENT": str(venv)}
        environment = {**self.environment, **_ALWAYS, **about}
        try:
            ended = await run(
                [str(self.binary), *words], cwd=cwd, environment=environment, timeout=self.timeout
            )
        except TimeoutError as error:
            problem = f"uv {words[0]} did not end within {self.timeout:g} s."
            raise build_failed(problem, "") from error
        if ended.code:
            output = ended.output.replace(str(cwd.parent), ".")  # nobody's business where we work
            raise build_failed(f"uv {words[0]} failed:", self._scrubbed(output))

    def _scrubbed(self, output: str) -> str:
        last = "\n".join(output.strip().splitlines()[-_LINES:])
        told = _CREDENTIALS.sub(f"{_HIDDEN}@", last)
        for name, value in self.environment.items():
            if value and _SECRET_NAME.search(name):
                told = told.replace(value, _HIDDEN)
        return told
