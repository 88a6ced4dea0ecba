"""Stage: ask teachers for the rationales that the store lacks."""
