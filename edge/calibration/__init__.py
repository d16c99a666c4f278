"""Gain and delay of each microphone, measured from sound: ambient noise, a known direction, or a test signal."""
