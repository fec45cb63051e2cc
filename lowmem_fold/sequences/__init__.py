"""What is folded: sequences and their chains, residues, records and ids."""
