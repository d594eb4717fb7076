"""What requests and answers of the internal API say: a class a type, see :mod:`sandbox.api.framework.messages`."""
