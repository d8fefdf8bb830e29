"""How fast it is, always against something else that ran in the same minutes.

    python -m bench.life          a cold start, a create, a push; where the rest of the time goes
    python -m bench.throughput    through the port, against straight at the instance; needs h2load
    python -m bench.start         ``cs up``, against importing what any such server imports
    python bench/gateway_routes.py [routes ...]    how the gateway grows
    python -m bench.wake          a wake, against a warm answer and against a bare cold start
    python -m bench.standby       what sleeps without a process costs, and what it slows down
    python -m bench.cycles        thousands of wakes under load, none of which may fail; 8 minutes

A machine is never as fast as it was a moment ago. So what is compared takes turns, one figure is
a ratio within one round, and what counts is the median of the rounds. Nothing here is a test: a
missed target is told, and the exit code is 0; but for ``cycles``, which fails with one request.
Each starts a platform of its own in a temporary folder, loads nothing but that, and leaves nothing
behind. ``--rounds N`` says how often.
"""
