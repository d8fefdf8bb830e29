"""What a child writes: masked, then kept in files of bounded size."""
