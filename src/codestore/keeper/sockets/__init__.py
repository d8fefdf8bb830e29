"""Sockets that are held: who waits there, who is woken by it, who takes the connection."""
