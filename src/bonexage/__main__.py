"""`python -m bonexage` is the command line."""

from bonexage.cli import main

main()
