"""What a submission gives away about the data it was trained on, about people, and about itself."""
