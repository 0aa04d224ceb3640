"""Widgets: each shows one thing and posts messages; none knows the app."""
