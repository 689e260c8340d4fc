"""A module of a script's own."""

COUNT = 0
