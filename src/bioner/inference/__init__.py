"""From a trained model to raw outputs, tagged text, and times."""
