"""What people see of each answer: one function per shape of :mod:`codestore.wire`."""
