"""What crosses the keeper's socket: its words, its two ends, and who speaks to it."""
