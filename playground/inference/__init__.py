"""Lanes in lock-step: the decode loop, its cache, its fast exact greedy choice."""
