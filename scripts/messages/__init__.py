"""The catalogues of translated texts: found in the sources, merged, checked and compiled, without GNU gettext."""
