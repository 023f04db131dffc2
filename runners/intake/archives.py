"""Archives of participants' code. The rules live in `runners.spec.bundle`, which the server uses too."""

from runners.spec.bundle import ArchiveError, ArchiveLimits, ZipFacts, extract_zip, inspect_zip, read_entry

#: What a `code` submission may hold.
CODE_LIMITS = ArchiveLimits(entries=5_000, total=2**30, entry=2**29)

__all__ = ["CODE_LIMITS", "ArchiveError", "ArchiveLimits", "ZipFacts", "extract_zip", "inspect_zip", "read_entry"]
