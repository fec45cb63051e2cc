"""What a process needs besides: files written whole, the cache, the log, locks, devices, versions, the terminal."""
