"""Densities of data by exact maximum likelihood."""
