"""The command line's entry: errors become one line and exit status 2."""

import logging
import os
import sys

from isogloss.errors import IsoglossError


def main() -> None:
    """Run the command line."""
    from isogloss.cli import app

    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(message)s")
    try:
        app()
    except IsoglossError as error:
        print(f"isogloss: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print(
            "isogloss: stopped. What is finished is kept; the same command goes on from there.",
            file=sys.stderr,
        )
        sys.exit(130)
    except BrokenPipeError:
        # Whoever read our output has read enough. Python would complain once more when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


if __name__ == "__main__":
    main()
