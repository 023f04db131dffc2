"""How faithful, sparse and steady the explanations of a model's answers are."""
