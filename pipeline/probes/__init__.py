"""What an embedding matrix knows: word similarity, nearest neighbours, and how far training moved it."""
