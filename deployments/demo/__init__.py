"""Tiny llama models of the two demonstration services, and everything that makes, asks and damages them.

Import the modules directly: this package stays empty so that `train` can pin threads before numpy loads.
"""
