"""The keeper: the one process that must not fall over, and the client that speaks to it.

It is the parent of every process of the platform on one host (the control process, Envoy,
PostgreSQL, the instances of services, migrations) and holds their listening Unix sockets. The
control process may crash or be upgraded at any time: children and sockets stay. If the keeper
itself dies, even by ``kill -9``, everything under it dies too. It knows no project, no key and no
database, uses the standard library only, and changes rarely.

Where to look:

======================  ============================================================
``keeper``              the rooms of the process put together; its start and its end
``child``               the life of one child, on one screen; ``run`` is one run of its
                        program, ``children`` the table of all, ``home`` what they share
``spec``                what a child is: ``ChildSpec``
``starting``            from a spec to a process at the gate
``sleeping``            frozen without losing a connection, thawed when one arrives
``watching``            children that a connection starts
``desk``                which request goes where; ``news`` keeps floods from subscribers
``reaper``              who has ended; what is left of its session
``journal``             what a killed keeper left behind, and the sweep
``shortage``            who was ended for want of memory
``protocol/``           ``messages, views`` are the words that cross the socket,
                        ``codec`` their JSON, ``server`` its near end; ``client`` is
                        what the rest of the platform imports, ``events`` its stream
``spawning/``           ``launch, become``: fork and exec, the parent's half and the
                        child's; ``spares``: forked in advance, for whoever is called
                        or started next; ``forking``: by a parent that imported all
``sockets/``            ``listeners`` holds them, and knows who is told when somebody
                        waits; ``waking``: who woke, and how fast; ``looking``: is
                        anybody connected; ``forwarding, relay``: connections handed on
                        to a child's TCP port (``dialling``); ``refusing``: an answer
                        to all who wait; ``readiness``: the sd_notify socket
``bounds/``             ``freezing, cgroups``: by signals, by control groups;
                        ``limiting, limits``: memory and processor time; ``groups``
                        are the folders
``walls/``              what a child does not see of its neighbours
``output/``             from a child's ``pipes`` to CRI lines in rotated files
======================  ============================================================
"""
