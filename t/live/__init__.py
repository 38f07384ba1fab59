"""Tests against a real httpd and a real ACME server."""
