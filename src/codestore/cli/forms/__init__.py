"""How an answer is drawn; each module is loaded when it is asked for (see :mod:`..loading`)."""
