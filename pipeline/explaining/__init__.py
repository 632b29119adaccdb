"""One text on its way through a trained classifier, step by step, for a reader who wants to see it."""
