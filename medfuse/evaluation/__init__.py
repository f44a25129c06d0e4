"""How good a model is: metrics with intervals, and the report."""
