"""Sans-I/O codecs: HTTP/1.1, WebSocket frames, host names, the engine's stream."""
