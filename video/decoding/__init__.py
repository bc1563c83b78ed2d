"""What happens to a decoded picture before it is a frame: deinterlacing, tone mapping, and what is said of the rest."""
