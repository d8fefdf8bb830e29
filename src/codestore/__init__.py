"""codestore: every service in the environments it needs, kept apart."""

__version__ = "0.1.0"
