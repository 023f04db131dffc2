"""Do probabilities mean what they say: of the answers given with 80 %, are 80 % right?"""
