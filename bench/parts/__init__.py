"""What the benchmarks share: a machine to run on, a made-up district, and the plain programs they are measured against."""
