"""What measurements stand on: known structures to compare with, and the records that measurements are kept in."""
