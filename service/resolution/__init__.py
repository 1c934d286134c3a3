"""Pure resolution: which identifiers are one person, under which id, and how it looks from each of them."""
