"""How much playback the echo canceller takes off the microphones, what a talker loses by it, and what it costs."""
