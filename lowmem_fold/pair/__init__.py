"""Updates of a pair state in place, a block of rows at a time, which families of models share."""
