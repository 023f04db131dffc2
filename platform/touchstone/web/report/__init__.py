"""Results in plain language, for people who do not read code: as a page, and as a PDF of the same text."""
