"""The HTTP API of Vitess' vtorc from version 14 to 24, answered from the server's memory."""
