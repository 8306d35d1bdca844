"""Measurements that anyone can repeat; each compares side by side in one run."""
