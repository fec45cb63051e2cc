"""Bytes: how many a computation holds, how many a machine has."""
