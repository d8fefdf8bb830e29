"""The gateway room: turns routes into Envoy's words, and hands them to the Envoy that serves them.

Pure: ``resources`` (a route as Envoy resources), ``snapshot`` (what is wanted, and how it differs
from what a client holds), ``problems``, ``listener`` and ``bootstrap`` (what never changes).
Effects: ``session`` and ``discovery`` (the xDS server), ``admin`` (questions to a running Envoy),
``envoy`` (the door: ``EnvoyGateway``).
"""
