"""What was measured, for people: collected once (`data`), shown in the terminal (`tables`) or as a page (`page`)."""
