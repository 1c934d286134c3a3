"""Signals of consent as browsers and consent platforms carry them, decoded strictly: what is odd permits nothing."""
