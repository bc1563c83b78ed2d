"""How many cameras and videos a machine serves: measured service times, and a simulation of arrivals."""
