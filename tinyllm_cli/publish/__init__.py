"""Stage: upload a student or rationales to a model hub, with a card that says where they are from."""
