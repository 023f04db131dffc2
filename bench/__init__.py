"""Speed, as JSON: each number beside a peer or a physical limit, measured in the same run. `make bench`."""
