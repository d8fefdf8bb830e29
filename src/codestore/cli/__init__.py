"""The command line, ``cs``: it sees the platform only over HTTP.

A command (``commands/``) asks the platform (:mod:`client`), follows a change to its end
(:mod:`changes`), describes the answer (``views/``) and leaves the printing to :mod:`output`.
"""
