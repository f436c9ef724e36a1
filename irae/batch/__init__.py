"""Engines: the ledger decides what is to do, engines only run it."""
