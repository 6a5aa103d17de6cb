"""Many films on many machines: shares of a list for any scheduler, and Ray Data."""
