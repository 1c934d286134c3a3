"""A small world to look at: invented people, their identifiers over two years, and what stewards made of them."""
