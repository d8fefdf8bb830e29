"""The keeper: the one process that must not fall over, and the client that speaks to it.

It is the parent of every process of the platform on one host (the control process, Envoy,
PostgreSQL, the instances of services, migrations) and holds their listening Unix sockets. The
control process may crash or be upgraded at any time: children and sockets stay. If the keeper
itself dies, even by ``kill -9``, everything under it dies too. It knows no project, no key and no
database, uses the standard library only, and changes rarely.

Where to look:

======================  ============================================================
``client``              what the rest of the platform imports; ``events`` is its stream
``protocol, views``     the words that cross the socket; ``codec`` is their JSON
``spec``                what a child is: ``ChildSpec``
``server, desk``        connections, requests, subscribers; which request goes where
``keeper``              the rooms of the process put together; its start and its end
``child``               the life of one child, on one screen; ``run`` is one run of its
                        program, ``children`` the table of all, ``home`` what they share
``starting``            from a spec to a process at the gate
``launch, become``      fork and exec: the parent's half and the child's half
``spares``              processes forked in advance, for whoever is called or started next
``forking``             the same by a fork server that has imported all
``reaper``              who has ended; what is left of its session
``journal``             what a killed keeper left behind, and the sweep
``listeners``           the held sockets, and who is told when somebody waits there
``sleeping``            frozen without losing a connection, thawed when one arrives;
                        ``looking`` is whether anybody is connected
``freezing, cgroups``   how: by signals, by control groups
``limiting, limits``    memory and processor time are bounded, by control groups;
                        ``shortage`` is who was ended for want of memory, ``groups``
                        are the folders
``watching, waking``    children that a connection starts; who woke, and how fast
``forwarding, relay``   connections handed on to a child's TCP port; ``dialling`` is
                        ports, ``refusing`` an answer to all who wait
``readiness``           the sd_notify socket; ``news`` keeps floods from subscribers
``output, logfile``     from a child's pipes to CRI lines in rotated files
======================  ============================================================
"""
