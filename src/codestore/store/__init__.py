"""The platform's memory: the Store door on PostgreSQL, and the same door in memory.

Where to look:

====================  ==============================================================
``shapes``            what both know of each noun: its table, its filters, what is unique
``memory``            the store in memory, for tests and for trying things out
``postgres``          the store on PostgreSQL: transactions, watching, leading
``records``           one transaction: nouns and events as statements
``statements``        the statements that are made from a noun or an event
``tables, codec``     the tables, and nouns as JSON
``connections``       the pool and its time-outs; ``errors`` turns exceptions into faults
``watching``          LISTEN, with reconnection; ``leading`` is the lock of the one leader
``schema``            brings the tables up to date; ``migrations`` are Alembic's files
====================  ==============================================================
"""
