"""Symbolic links, followed on paper: each must stay inside the folder, through every other one."""

from collections.abc import Mapping

from codestore.artifacts.paths import has_strange_letters
from codestore.artifacts.refusals import bad_link
from codestore.domain.names import shown

_MAX_TARGET = 1000  # characters
_MAX_HOPS = 40  # where Linux gives up, too


def check_links(links: Mapping[str, str]) -> None:
    """Raise a ``bad_link`` fault for the first link (by name) that leads out, or round."""
    resolver = _Resolver(links)
    for path in sorted(links):
        resolver.resolve(path, 0)


class _Resolver:
    """Follows as the kernel does: ``..`` after a link is relative to where the link led."""

    def __init__(self, links: Mapping[str, str]) -> None:
        self._links = links
        # Where each link leads in the end, and how many links were followed on the way.
        self._known: dict[str, tuple[tuple[str, ...], int]] = {}

    def resolve(self, path: str, followed: int) -> tuple[tuple[str, ...], int]:
        if path in self._known:
            return self._known[path]
        if followed >= _MAX_HOPS:
            raise bad_link(path, "leads round in a circle, or through too many others")
        target = self._links[path]
        _check_target(path, target)
        place, hops = list(_parts(path)[:-1]), 1
        for part in _parts(target):
            if part == "..":
                if not place:
                    raise bad_link(path, f'leads out of the folder, to "{shown(target)}"')
                place.pop()
                continue
            place.append(part)
            if (step := "/".join(place)) in self._links:
                led, more = self.resolve(step, followed + hops)
                place, hops = list(led), hops + more
            if hops > _MAX_HOPS:
                raise bad_link(path, "leads round in a circle, or through too many others")
        self._known[path] = tuple(place), hops
        return self._known[path]


def _check_target(path: str, target: str) -> None:
    if has_strange_letters(target):
        raise bad_link(path, "has a backslash or a control character in its target")
    if not target or target.startswith("/") or len(target) > _MAX_TARGET:
        raise bad_link(path, f'leads out of the folder, to "{shown(target)}"')


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]
