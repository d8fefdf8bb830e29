"""Walls around a child: what it may see and reach, and how that is held (Linux).

``view`` says what a child may see. ``cell`` builds it: namespaces of its own, in which there is
nothing but the system's programs and that view. ``filters`` refuses system calls that no service
needs, ``landlock`` keeps abstract sockets and signals inside, and stands in for the cell where
namespaces cannot be had. ``picking`` finds out what works here; ``calls`` are the system calls.
"""
