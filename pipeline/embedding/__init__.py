"""CBOW with gensim, vector files, and the initial matrix of the embedding layer."""
