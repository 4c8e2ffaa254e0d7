"""Command line: each module parses its flags, calls one function, and exits."""
