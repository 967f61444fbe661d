"""Raw files: where they come from, getting them, and what vouches for them."""
