"""Live operation: the loop on the audio thread, and everything around it that must not disturb it."""
