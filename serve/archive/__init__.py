"""``mostnet-archive``: all videos of an archive, on this machine's cores or on a Ray cluster."""
