"""What was found in the videos of an archive, and the report that tells it."""
