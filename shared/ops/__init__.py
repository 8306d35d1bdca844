"""What an operator sees of a service: logs, health, metrics."""
