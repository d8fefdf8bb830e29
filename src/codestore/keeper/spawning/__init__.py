"""From a spec to a process: forked by us, by a parent that has imported all, or before."""
