"""What the journal means: messages, reports, repeats, quarantine, statistics. It can be rebuilt."""
