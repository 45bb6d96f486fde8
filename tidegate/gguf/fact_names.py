"""Names of what the render probe needs to know of a file; without the template engine that finds it out."""

TEMPLATE_FACTS = ("source", "bos_token", "eos_token", "words")
"""The keys of what `template_facts` returns; all values are texts."""
