"""Cohorts without the names."""
