"""Messages into a file or a pipe, from the command line and from the screen alike."""
