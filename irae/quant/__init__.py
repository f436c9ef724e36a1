"""Numbers: pure measurements on arrays and geometry."""
