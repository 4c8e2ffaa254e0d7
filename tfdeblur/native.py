"""What C code inside this process writes to stderr, past Python."""

import contextlib
import os
import tempfile
import threading

_ONE_AT_A_TIME = threading.Lock()  # there is one stderr in a process


@contextlib.contextmanager
def stderr_kept():
    """Keeps what is written to the file descriptor 2 inside the block, from other threads, too.

    Yields:
      A list that is empty inside the block and holds the text as its one item behind it.
    """
    kept = []
    with _ONE_AT_A_TIME, _file() as file:
        try:
            stderr = os.dup(2)
        except OSError:  # it is closed: nobody writes
            yield kept
            kept.append("")
            return
        try:
            os.dup2(file.fileno(), 2)
            yield kept
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            file.seek(0)
            kept.append(file.read().decode(errors="replace"))


def _file():
    """In memory where the system can: a full disk must not stop what only reads."""
    return os.fdopen(os.memfd_create("stderr"), "w+b") if hasattr(os, "memfd_create") else tempfile.TemporaryFile()
