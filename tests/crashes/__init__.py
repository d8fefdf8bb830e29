"""Crash proof: histories of the real cycle that are killed between any two effects, and go on.

A *history* is a list of operations of people and of the world, run through the real actions and
the real cycle on a world in memory (``histories``, ``key_histories``, ``intrusions``, ``acts``,
``holders``, ``stage``). A *kill* ends the control process before, in the middle of, or after any
effect, and before or after any commit (``fuse``, ``store``); a new one starts, and the history goes
on. Whatever is written is held against what may be written (``ledger``), whatever is done against
what is promised (``promises``), and what is left in the end against what was acknowledged
(``checks``). ``bugs`` are mistakes that somebody could make: each must be caught (``hunting``).
"""
