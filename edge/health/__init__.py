"""Health of the array while it runs: microphones that fail, channels that change places."""
