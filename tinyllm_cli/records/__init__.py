"""What the store holds, as types: rationales and how they were asked for, runs, evaluations. No SQL."""
