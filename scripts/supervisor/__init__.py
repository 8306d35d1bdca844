"""Runs MongoDB and both services, keeps them running, and stops them together."""
