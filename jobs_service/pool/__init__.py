"""The process pool: children that can be killed, forked from a preloaded zygote."""
