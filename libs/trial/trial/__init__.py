"""What a new user sees first: the made-up district, the mail catcher and the demonstration."""
