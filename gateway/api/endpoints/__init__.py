"""The HTTP side of each call: thin, one noun a module."""
