"""Files from outside become radiographs, labels and subjects; nothing else opens a file from outside."""
