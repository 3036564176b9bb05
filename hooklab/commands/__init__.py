"""What each command does: a few lines that call one thing."""
