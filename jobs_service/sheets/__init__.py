"""Workbooks: a typed column model and two writers behind it; knows no job and no database."""
