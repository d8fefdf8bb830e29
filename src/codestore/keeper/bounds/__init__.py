"""What a child may use, and that it uses nothing while frozen: control groups, or signals."""
