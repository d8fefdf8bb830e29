"""From the source people push to something a driver can start, the same bytes everywhere.

``seal``: :mod:`tarstream` reads what a stranger sent, :mod:`intake` holds it to the limits,
:mod:`ignore` and :mod:`links` decide what stays, :mod:`manifest_file` and :mod:`locks` read what
it says about itself, :mod:`bundle` writes it down as one canonical file named by its digest.

``prepare``: :mod:`trees` lays the code out and checks it, :mod:`environments` installs what it
imports, :mod:`runtime` adds what the platform runs it under. :mod:`builder` is the door.
"""
