"""The jobs service: everything slow, in a pool of processes."""
