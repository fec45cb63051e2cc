"""What a fold will take, told before it runs: memory from the engine's own code, seconds from the machine's speed."""
