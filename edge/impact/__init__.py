"""What enhancement does to recognition: word errors and speaker similarity over SNR, see docs/impact.md."""
