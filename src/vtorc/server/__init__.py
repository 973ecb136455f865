"""The HTTP server: a process of its own that holds no password and shows what vtorc has told it."""
