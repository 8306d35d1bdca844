"""The job functions: one module per feature, each function fulfils one contract."""
