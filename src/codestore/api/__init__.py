"""The HTTP API: thin handlers over the actions. Nothing is decided here."""
