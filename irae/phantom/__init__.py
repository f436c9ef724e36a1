"""A world of its own: synthetic patients, scanner physics, disease courses."""
