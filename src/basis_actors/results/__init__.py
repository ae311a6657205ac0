"""What a run came to: statistics gathered as it goes, the summary made from them, and how people are shown it."""
