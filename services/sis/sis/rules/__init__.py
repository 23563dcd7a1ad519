"""What follows from what a SIS says: pure functions by topic."""
