"""Measurements have a decimal point in every language: they are compared with tables, files and commands that do."""

DECIMAL_SEPARATOR = "."
THOUSAND_SEPARATOR = "\u202f"
