"""What must be in a data folder, judged by rules of its own, and in what it differs."""
