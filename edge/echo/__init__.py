"""Echo cancellation: what the loudspeaker plays is taken off the microphones, where a channel carries it."""
