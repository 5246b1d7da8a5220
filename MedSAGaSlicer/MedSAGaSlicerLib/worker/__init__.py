"""Child processes that run the engine, and the client that talks to them over pipes."""
