"""How a submission answers: a file of predictions, a served container or code, a platform-served model."""
