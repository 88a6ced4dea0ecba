"""What the store and its run folders hold, and how to delete, rename, thin out and check it."""
