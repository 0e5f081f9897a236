"""What a reviewer asks of held-out answers: each question one file, each answer a plain record."""
