"""Which part of a slice a model is shown: all of it, a region, the object from near, or tiles."""
