"""Runs compared: statistics over seeds and test tweets, learning curves, plots, report."""
