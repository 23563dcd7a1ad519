"""Who is told, in which language, by which channel and when: pure rules, without a clock or a database."""
