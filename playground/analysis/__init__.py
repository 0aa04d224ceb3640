"""What training changed, and why."""
