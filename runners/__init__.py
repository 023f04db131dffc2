"""What a worker node runs: the judge, engines, metrics and attacks.

Imports neither Django nor the server package; installs and imports alone.
"""
