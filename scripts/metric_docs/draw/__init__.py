"""Small pictures as SVG: the same bytes everywhere, text as text, colours that follow a light or a dark page."""
