"""Terminal output of each command."""
