"""A server under statements that no reader should send: others are answered, memory is bounded, all of it ends."""
