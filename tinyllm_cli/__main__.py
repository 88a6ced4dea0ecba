"""The `tinyllm` command, also as `python -m tinyllm_cli`."""

import sys


def main() -> None:
    """Run the command line. Loading it takes a moment, in which Ctrl-C may come as well as later."""
    try:
        from tinyllm_cli import cli

        cli.main()
    except KeyboardInterrupt:  # before a command had begun
        sys.stderr.write("Stopped before anything was done. Run the same command to begin.\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
