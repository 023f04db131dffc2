"""How often, how surely and how well calibrated the answers are right."""
