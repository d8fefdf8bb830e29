"""From the exceptions of the driver to faults that people can read."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from codestore.domain.faults import Fault, unavailable

_BUSY = (
    errors.LockNotAvailable,
    errors.QueryCanceled,
    errors.DeadlockDetected,
    errors.SerializationFailure,
    errors.TooManyConnections,
)


def lost(error: Exception) -> Fault:
    """Build the fault for a server that does not answer."""
    reason = str(error).strip().partition("\n")[0] or type(error).__name__
    return unavailable(
        "store_unavailable",
        "The platform's database does not answer",
        f"{reason}.",
        "It is started again by itself; see cs status.",
    )


def busy(detail: str) -> Fault:
    """Build the fault for a server that answers, but not in time."""
    return unavailable(
        "store_busy", "The platform's database is busy", detail, "Try again in a moment."
    )


@contextmanager
def translated() -> Iterator[None]:
    """Raise UNAVAILABLE faults in place of the exceptions of a lost or busy server.

    Any other exception passes: it is a mistake of ours, and its trace is wanted.
    """
    try:
        yield
    except PoolTimeout as error:
        raise busy("All connections of the platform are in use.") from error
    except DBAPIError as error:
        cause = error.orig
        if isinstance(cause, _BUSY):
            raise busy(str(cause).partition("\n")[0]) from error
        if isinstance(cause, psycopg.OperationalError | psycopg.InterfaceError):
            raise lost(cause) from error
        raise
    except psycopg.OperationalError as error:
        raise lost(error) from error
