"""Raw files: where they come from, how they are downloaded, and how they are verified."""
