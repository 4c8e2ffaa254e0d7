"""The one exception that means "the user can mend this"."""


class DeblurError(Exception):
    """A problem with the user's files, flags or configuration.

    The message is one line that names the file or value and the remedy; the command line prints it
    to stderr and exits with 1. Anything else that escapes is a bug and keeps its traceback.
    """
