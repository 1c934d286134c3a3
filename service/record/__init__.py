"""The record: canonical events in a Delta Lake table, on a folder or on object storage; read and written only here."""
