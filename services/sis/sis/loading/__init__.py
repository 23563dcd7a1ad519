"""``trellis load``: pushes a folder of exported files through the HTTP doors. Safe to repeat and to interrupt."""
