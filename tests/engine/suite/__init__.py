"""Behaviour that every backend must show, one file for each."""
