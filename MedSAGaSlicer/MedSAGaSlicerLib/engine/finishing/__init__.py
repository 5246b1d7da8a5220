"""Segmenting the rest of a volume without prompts, by what was taught, and cleaning it up."""
