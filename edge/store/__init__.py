"""Results of batch work kept by content, in memory and on disk: `Store`, and `digest` for its keys."""

from edge.store.digest import code_digest, digest, file_digest, program_digest
from edge.store.store import Store, default_folder

__all__ = ["Store", "code_digest", "default_folder", "digest", "file_digest", "program_digest"]
