"""From a tweet to token ids: tokenizers, cleaning, vocabulary, encoded splits, corpus files."""
