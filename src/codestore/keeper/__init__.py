"""The keeper: the one process that must not fall over, and the client that speaks to it.

It is the parent of every process of the platform on one host (the control process, Envoy,
PostgreSQL, the instances of services, migrations) and holds their listening Unix sockets. The
control process may crash or be upgraded at any time: children and sockets stay. If the keeper
itself dies, even by ``kill -9``, everything under it dies too. It knows no project, no key and no
database, uses the standard library only, and changes rarely.

Where to look:

====================  ==============================================================
``client``            what the rest of the platform imports; ``events`` is its stream
``protocol``          the words that cross the socket; ``codec`` is their JSON
``spec``              what a child is: ``ChildSpec``
``server``            connections, requests, subscribers
``keeper``            the rooms of the process put together; its start and its end
``child``             the life of one child, on one screen; ``run`` is one run of its
                      program, ``children`` the table of all
``launch, become``    fork and exec: the parent's half and the child's half
``reaper``            who has ended; what is left of its session
``journal``           what a killed keeper left behind, and the sweep
``listeners``         the held sockets and the one-shot watches
``readiness``         the sd_notify socket; ``news`` keeps floods from subscribers
``output, logfile``   from a child's pipes to CRI lines in rotated files
====================  ==============================================================
"""
