"""What is wrong with labelled text before anything is compared on it: copies, conflicts, leaks, splits that differ."""
