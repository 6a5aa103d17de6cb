"""The command line: one function a command."""

from bonexage.cli.app import main

__all__ = ["main"]
