"""Rules: cited cut-offs per irAE, change against the own baseline, severity, fusion, episodes."""
