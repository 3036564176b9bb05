"""`make binary`: hooklab and its Python in one executable file, by PyInstaller."""
