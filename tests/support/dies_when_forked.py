"""A module that ends every process forked after its import."""

import os

os.register_at_fork(after_in_child=lambda: os._exit(9))
