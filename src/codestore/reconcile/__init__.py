"""The loop: observe, plan, execute, record, for one deployment after another."""
