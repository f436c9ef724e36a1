"""Rules: foci found, measured and followed over exams."""
