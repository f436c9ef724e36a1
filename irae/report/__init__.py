"""Pictures: figures, exam and course pages."""
