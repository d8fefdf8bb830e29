"""uv, as this room calls it: wheels only, no downloads of Python, no word of a secret.

uv unpacks what strangers have packed, but runs none of it: no sources are built, and nothing is
compiled, for which it would start the environment's own Python with every ``.pth`` file in there.
So nobody but uv writes to its cache, which all environments are made from.
"""

import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from uv import find_uv_bin

from codestore.artifacts.refusals import build_failed
from codestore.ports.programs import Program, Programs

_LINES = 20
_CREDENTIALS = re.compile(r"(?<=://)[^/\s@]+@")
_SECRET_NAME = re.compile(r"PASSWORD|TOKEN|SECRET|USERNAME|CREDENTIAL", re.IGNORECASE)
_HIDDEN = "[hidden]"
_PATH = re.compile(r"(?:^|(?<=[\s,=]))(?:file://)?(/[^\s,]+)")
_ALWAYS = {
    "NO_COLOR": "1",
    "UV_LINK_MODE": "copy",  # an environment shares no file with the cache, and so with no other
    "UV_NO_PROGRESS": "1",
    "UV_PYTHON_DOWNLOADS": "never",
}


@dataclass(frozen=True, slots=True)
class Uv:
    """Calls the uv binary with the environment it was given; ``timeout`` seconds for each call.

    ``cache`` is the folder for what it has downloaded, ``programs`` run it.
    """

    binary: Path
    environment: Mapping[str, str]
    timeout: float
    cache: Path
    programs: Programs

    @classmethod
    def installed(
        cls,
        environment: Mapping[str, str],
        caches: Path,
        programs: Programs,
        *,
        binary: Path | None = None,
        timeout: float = 600.0,
    ) -> "Uv":
        """Return the one that is installed with us. Below ``caches`` each user has one."""
        # Who builds may be another one at the next start, and could not write there.
        user = programs.user[0] if programs.user else os.geteuid()
        cache = caches.resolve() / str(user)
        return cls(binary or Path(find_uv_bin()), environment, timeout, cache, programs)

    async def __call__(self, *words: str, workplace: Path, cwd: Path, venv: Path) -> None:
        """Run a command in ``cwd``, about ``venv``, both below ``workplace``.

        Raises a ``build_failed`` fault. Its detail ends with what uv said last, without
        credentials.
        """
        about = {
            "VIRTUAL_ENV": str(venv),
            "UV_PROJECT_ENVIRONMENT": str(venv),
            "UV_CACHE_DIR": str(self.cache),
            "TMPDIR": str(workplace),
        }
        environment = {**self.environment, **_ALWAYS, **about}
        environment.pop("UV_COMPILE_BYTECODE", None)  # the flag against it would contradict it
        program = Program(
            (str(self.binary), *words),
            str(cwd),
            environment,
            self.timeout,
            reads=(str(self.binary), sys.prefix, sys.base_prefix, *self._settings()),
            writes=(str(workplace), str(self.cache)),
            secrets=tuple(self._secrets()),
        )
        try:
            ended = await self.programs.run(program)
        except TimeoutError as error:
            problem = f"uv {words[0]} did not end within {self.timeout:g} s."
            raise build_failed(problem, "") from error
        if ended.code:
            output = ended.output.replace(str(workplace), ".")  # nobody's business where we work
            raise build_failed(f"uv {words[0]} failed:", self._scrubbed(output))

    def _settings(self) -> Iterator[str]:
        """Yield the files that whoever runs the platform may have named to uv, or has for it."""
        said = self.environment
        home = said.get("XDG_CONFIG_HOME") or f"{said.get('HOME', '')}/.config"
        yield from ("/etc/uv", f"{home}/uv")
        for name, value in said.items():
            if name.startswith(("UV_", "SSL_")) and name != "UV_CACHE_DIR":
                yield from _PATH.findall(value)

    def _secrets(self) -> Iterator[str]:
        return (
            name for name, value in self.environment.items() if value and _SECRET_NAME.search(name)
        )

    def _scrubbed(self, output: str) -> str:
        last = "\n".join(output.strip().splitlines()[-_LINES:])
        told = _CREDENTIALS.sub(f"{_HIDDEN}@", last)
        for name in self._secrets():
            told = told.replace(self.environment[name], _HIDDEN)
        return told
