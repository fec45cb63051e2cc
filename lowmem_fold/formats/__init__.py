"""Files of a prediction: PDB, mmCIF and PAE as text, and a way to write a file whole or not at all."""

from .files import write_bytes_atomic, write_text_atomic
from .mmcif import cif_text
from .pae import pae_json
from .pdb import pdb_text

__all__ = ["cif_text", "pae_json", "pdb_text", "write_bytes_atomic", "write_text_atomic"]
