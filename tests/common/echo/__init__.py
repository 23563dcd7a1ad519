"""The smallest service: it remembers each tier it hears and says a score for each name it is told."""
