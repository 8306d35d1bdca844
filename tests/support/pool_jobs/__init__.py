"""Job types for the pool's tests: well behaved ones, and every way to misbehave."""
