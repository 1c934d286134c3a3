"""Shapes of receivers: decisions and events to requests, answers to outcomes. Nothing is decided here."""
