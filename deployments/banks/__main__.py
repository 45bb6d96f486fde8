"""Writes the general bank anew."""

from deployments.banks import HOME, text

HOME.write_text(text(), encoding="utf-8")
