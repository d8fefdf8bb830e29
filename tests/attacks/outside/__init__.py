"""From outside: somebody who has the platform's port and nothing else, or the wrong key."""
