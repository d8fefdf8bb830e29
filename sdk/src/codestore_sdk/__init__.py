"""What a codestore service runs under; shares nothing with the platform."""
