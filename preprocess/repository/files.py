"""Names of preprocess.files for modules that still import them from here."""

from preprocess.files import atomic_write as write_atomically
from preprocess.files import staged_folder, sync

__all__ = ["staged_folder", "sync", "write_atomically"]
