"""Norms that turn a bone age into what a clinician compares, each with its source."""
