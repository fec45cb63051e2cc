"""Protein language models by themselves: load at any precision and placement, embed, fill masks, score."""
