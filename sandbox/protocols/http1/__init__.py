"""HTTP/1.1: grammar, framing, header fields, rewriting."""
