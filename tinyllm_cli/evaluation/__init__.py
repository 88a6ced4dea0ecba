"""Stage: predictions and accuracy of students and teachers."""
