"""Long trials with planted faults, too long for the tests; each writes its section of RELIABILITY.md."""
