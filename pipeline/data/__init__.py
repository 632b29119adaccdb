"""Where labelled tweets come from: sources, splits, label budgets, de-duplication, the generated sample."""
