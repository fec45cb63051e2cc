"""Families of folding models: what each has to say of itself, and how one is found."""
