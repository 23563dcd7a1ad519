"""A made-up district, written as a student information system would export it. Nobody in it exists."""
