"""The pages in a real browser: pictures of them, and how fast they are."""
