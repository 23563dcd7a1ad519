"""What `trellis` brings for mtss, a file for each command."""
