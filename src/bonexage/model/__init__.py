"""A radiograph and a subject become an assessment: the bundle, and what runs it."""
