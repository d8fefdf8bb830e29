"""The driver of this host: instances are processes under the keeper.

Python services accept from a listening socket that the keeper holds and all instances of a
deployment share; a ``command:`` listens on a port of its own, which becomes an endpoint.
"""
