"""Data sets that a seeded generator makes, with the rationales of rule-based teachers. They need no download."""
