"""The components of the engine, one file each, and what they are made of; they share nothing and send messages."""
