"""Values: what passes between the rooms. Frozen, checked when made, no framework."""
