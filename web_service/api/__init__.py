"""The web service's pages and HTTP API: one module per feature, each with its ``routes``."""
