"""Deciding: wanted and observed in, ordered steps with a reason each out. No effects, no clock."""
