"""The path of a steady camera, from the path of the shaking one."""
