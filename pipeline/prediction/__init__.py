"""A trained run at work: from raw texts to labels, in torch, as a table of word scores, or as ONNX.

Shapes: `B` texts of a batch, `T` tokens, `E` dimensions of a row as the encoder reads it, `C` classes, `V` vocabulary.
What is packed with a model for MLflow (`trained`, `predictor`, `full`) needs numpy, torch, safetensors, PyYAML and the
tokenizer's libraries alone.
"""
