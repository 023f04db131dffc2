"""competition.yml: typed models, validator and published schema. Light: no torch, no Django."""
