"""Learn the embedding layer, freeze CBOW vectors, or fine-tune them? A controlled experiment on tweets."""
