"""The web service: answers people, and hands everything slow to the jobs service."""
