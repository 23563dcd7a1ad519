"""What every Trellis service shares: transactions, events, identity, errors."""
