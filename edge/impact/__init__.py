"""What enhancement does to recognition: word errors and likeness of the talker over SNR, see docs/impact.md."""
