"""Finds plugins and keeps each from harming the others."""
