"""From token ids to a label: encoders, the training engine, metrics. Needs torch and numpy alone.

Shapes: `B` tweets of a batch, `N` tweets of a split, `T` tokens, `D` embedding dimensions, `F` features, `C` classes,
`V` vocabulary.
"""
