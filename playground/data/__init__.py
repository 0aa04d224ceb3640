"""From files to tensors: examples, styles, ids with labels, batches."""
