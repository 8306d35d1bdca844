"""What sets the project up, runs it and checks it; no part of either service."""
