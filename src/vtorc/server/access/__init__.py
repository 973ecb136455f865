"""The right to read and to act over HTTP: operators, how the server knows them, and what they may do."""
