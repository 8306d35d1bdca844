"""The version of this code, the same in both services: they are one build."""

VERSION = "0.1.0"
