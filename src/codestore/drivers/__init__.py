"""Where instances run: in memory (the worked example), on this host, one day in a cluster."""
