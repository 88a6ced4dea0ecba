"""What the store holds, as types: rationales and their prompts, runs, evaluations, usefulness. No SQL."""
