"""What a process that reads untrusted bytes may have of the machine."""

from __future__ import annotations

from contextlib import suppress


def limit_memory(most_bytes: int) -> None:
    """Where the system can: no more address space, and no core file of a child's film on disk."""
    with suppress(ImportError):
        import resource

        for what, most in ((resource.RLIMIT_AS, most_bytes), (resource.RLIMIT_CORE, 0)):
            with suppress(OSError, ValueError):
                _, hard = resource.getrlimit(what)
                resource.setrlimit(what, (most if hard < 0 else min(most, hard), hard))
