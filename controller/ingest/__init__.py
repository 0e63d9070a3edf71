"""Bytes from the bus into columns: decoded, ordered, counted; nothing malformed goes further."""
