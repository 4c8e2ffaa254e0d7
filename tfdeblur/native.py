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
    with _ONE_AT_A_TIME, tempfile.TemporaryFile() as file:
        stderr = os.dup(2)
        try:
            os.dup2(file.fileno(), 2)
            yield kept
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            file.seek(0)
            kept.append(file.read().decode(errors="replace"))
