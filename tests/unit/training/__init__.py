"""Training encoders: what is learned, what happens when it is cut short or memory is."""
