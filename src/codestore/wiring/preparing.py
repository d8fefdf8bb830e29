"""``python -m codestore.wiring.preparing --data DIR``: make the embedded server's folder.

Started beside the keeper at the first start, so that ``initdb`` works while the control process is
still being imported. Whatever goes wrong here is met again, and told, by the control process.
"""

import argparse
import asyncio
from pathlib import Path

from codestore.databases.embedded import EmbeddedServer, ordinary_user
from codestore.settings import Settings, read_settings
from codestore.vault import FileVault


def embedded_server(settings: Settings, vault: FileVault) -> EmbeddedServer:
    """Return the platform's own server; its password is derived and stored nowhere."""
    user = ordinary_user()
    return EmbeddedServer(settings.postgres, settings.run / "pg", user, vault.derive("postgres"))


def main() -> None:
    """Prepare the folder of one platform."""
    parser = argparse.ArgumentParser("codestore.wiring.preparing")
    parser.add_argument("--data", type=Path, required=True)
    settings = read_settings(parser.parse_args().data)
    server = embedded_server(settings, FileVault.open_file(settings.master_key))
    asyncio.run(server.prepare())


if __name__ == "__main__":
    main()
