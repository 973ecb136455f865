"""The HTTP server: a process of its own that holds no credentials and shows what vtorc has told it."""
