"""What a video is read from: files, pipes, joined recordings, folders and patterns of pictures."""
