"""hooklab: receives, keeps, judges and shows Arpoone's SMS delivery reports."""

__version__ = "0.1.0"
