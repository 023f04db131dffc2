"""Pages about every metric, attack and defence, made from the registry and from results that were measured."""
