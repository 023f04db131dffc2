"""The only modules that import ART, AIF360 and other libraries of the field."""
