"""Use cases: changes or questions in, receipts or views out. They know the stores by what those offer."""
