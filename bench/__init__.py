"""How fast it is, always against something else that ran in the same minutes.

    python -m bench.life          a cold start, a create, a push; where the rest of the time goes
    python -m bench.throughput    production, against uvicorn or gunicorn behind nginx; needs h2load
    python -m bench.straight      through the port, against straight at the instance; needs h2load
    python -m bench.start         ``cs up``, against importing what any such server imports
    python bench/gateway_routes.py [routes ...]    how the gateway grows
    python -m bench.wake          a wake, against a warm answer and against a bare cold start
    python -m bench.standby       what sleeps without a process costs, and what it slows down
    python -m bench.cycles        thousands of wakes under load, none of which may fail; 8 minutes
    python -m bench.rollout       rollouts, rollbacks and scale changes under load; none may fail
    python -m bench.restarts      restarts of the control process under load; none may fail
    python -m bench.autoscaler    traces of load, simulated, against a naive rule; plots
    python -m bench.crashes       histories in which the process dies at every point
    python -m bench.promise       what a deployment's minutes take on disk

A machine is never as fast as it was a moment ago. So what is compared takes turns, one figure is
a ratio within one round, and what counts is the median of the rounds. Nothing here is a test: a
missed target is told, and the exit code is 0; but for ``cycles``, ``rollout``, ``restarts`` and
``crashes``, which fail with one request or history.
Each starts a platform of its own in a temporary folder, loads nothing but that, and leaves nothing
behind. ``--rounds N`` says how often.
"""
