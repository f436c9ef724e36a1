"""Assembly: settings, names to objects, commands. The only place that knows everyone."""
