"""Thin views: read the request, call a service or selector, present the answer."""
