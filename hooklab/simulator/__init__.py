"""A sender that behaves as the provider does, and knows the truth about what it sent."""
