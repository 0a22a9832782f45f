"""The command line's entry: errors become one line and an exit status of 2, 3 or 4; `errors` says which."""

import errno
import logging
import os
import signal
import sys

from isogloss.errors import IsoglossError

RESUMABLE = ("run", "train-lm", "train-polyglot", "make-bundle", "train-parser", "add-language")
"""Commands that find again what an earlier, stopped one had finished. All others write a whole result or no file."""


def main() -> None:
    """Run the command line."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(message)s")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # whoever ends us by a signal is answered as by Ctrl-C
    try:
        try:
            _run()
        finally:
            sys.stdout.flush()
    except SystemExit as ended:
        if "WORLD_SIZE" in os.environ and not ended.code:  # started by torchrun, and all is done
            _leave_at_once()
        raise
    except IsoglossError as error:
        for line in str(error).splitlines():  # a recipe may have several faults, each with a line of its own
            print(f"isogloss: {line}", file=sys.stderr)
        sys.exit(error.exit_status)
    except KeyboardInterrupt:
        print(f"isogloss: {_stopped()}", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        _forget_output()  # whoever read our output has read enough
        sys.exit(0)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        _forget_output()
        print(
            f"isogloss: standard output: writing failed ({error.strerror}). Expected room for the result. Free some "
            f"space or choose another place.",
            file=sys.stderr,
        )
        sys.exit(2)


def _run() -> None:
    from isogloss.cli import Ended, app

    try:
        app()
    except Ended as error:
        assert error.__cause__ is not None, "always raised from an exception"
        raise error.__cause__ from None


def _leave_at_once() -> None:
    """End this process with status 0 and leave its clearing up to the system.

    Threads by which PyTorch's processes talk may live on after their group has been dissolved. One that wants the
    interpreter while Python ends makes the program abort ("terminate called without an active exception", status −6),
    though its work is done, and torchrun calls all of it failed.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _stopped() -> str:
    """Say what has become of the work of a command that was ended by Ctrl-C."""
    command = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
    if command in RESUMABLE:
        return "stopped. What is finished is kept; give the same command again to go on."
    return "stopped. No file was written."


def _forget_output() -> None:
    """Keep Python from complaining once more when it closes a stream that cannot be written."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
