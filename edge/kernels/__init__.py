"""Every numba kernel of the runtime, and nothing else.

Numba's on-disk cache does not notice a change in a kernel of another file, so no module here imports another
(only `jit`); a test holds this. Signatures are explicit: importing a module compiles it, or loads it from cache.
"""
