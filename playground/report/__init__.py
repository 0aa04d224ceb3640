"""Comparisons and runs as text; no model code."""
