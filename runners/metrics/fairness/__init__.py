"""How outcomes and errors differ between groups; every metric rests on one integer count table."""
