"""Sweeps: where cells come from, how they are checked, launched and watched, and the report at the end."""
