"""The pages of the web UI: rendered by the server with the data in them, and kept current by small modules."""
