"""Teaching: from confirmed slices to an adapter, and the adapter at work."""
