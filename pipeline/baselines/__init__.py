"""Methods without an embedding layer, on the same labelled tweets, validation split and tokens as the variants."""
