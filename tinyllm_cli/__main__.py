"""`python -m tinyllm_cli` is `tinyllm`."""

from tinyllm_cli.cli import main

main()
