"""The command line: one file a command, heavy imports inside the command functions."""

from __future__ import annotations

import os
import sys

from archstat.errors import AT_COMMAND_LINE, EXIT_DONE, EXIT_FAILED, ArchstatError


def main() -> int:
    """Run the command line; errors become one message on stderr and an exit code."""
    token = AT_COMMAND_LINE.set(True)
    try:
        return _run()
    finally:
        AT_COMMAND_LINE.reset(token)


def _run() -> int:
    if None in (sys.stdin, sys.stdout, sys.stderr):
        _fill_streams()
    if sys.stdout is None:
        print("archstat: standard output is closed: send it to a file.", file=sys.stderr)
        return EXIT_FAILED
    from archstat.cli.app import app

    debug = "--debug" in sys.argv
    try:
        app(prog_name="archstat")
    except ArchstatError as error:
        if debug:
            import traceback

            traceback.print_exc()
        else:
            print(f"archstat: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if debug:
            raise
        from archstat.hints import shortened

        print(
            f"archstat: this is a bug in archstat: {shortened(error)}. "
            "Run it again with --debug and report the traceback.",
            file=sys.stderr,
        )
        return EXIT_FAILED
    return EXIT_DONE


def _fill_streams() -> None:
    """Open what was closed before the start, so that no file takes its number."""
    while os.open(os.devnull, os.O_RDWR) < 2:
        pass
    sys.stderr = sys.stderr or os.fdopen(2, "w")
