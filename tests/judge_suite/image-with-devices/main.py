from probe import attempt, can_read, finish

for name in ("disk", "memory", "fuse"):
    attempt(name, can_read, f"/opt/app/{name}")
finish()
