"""The gateway room: turns routes into Envoy's words, and hands them to the Envoy that serves them.

Pure: ``resources`` (a route as Envoy resources, made of ``clusters``, ``scopes`` and ``limits``),
``snapshot`` (what is wanted, and how it differs from what a client holds), ``problems``,
``listener`` and ``bootstrap`` (what never changes), ``counting`` (what Envoy's counters mean).
Effects: ``session`` and ``discovery`` (the xDS server), ``admin`` (questions to a running Envoy),
``traffic`` and ``envoy`` (the doors: ``EnvoyTraffic``, ``EnvoyGateway``).
"""
