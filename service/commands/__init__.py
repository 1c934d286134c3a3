"""Use cases. Each takes changes or questions and answers with receipts or views; they know stores by what these offer."""
