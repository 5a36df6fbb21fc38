"""Packages that sit on requests, over our transport. Run by tests/integration/test_requests_suite.py, in the
environment that has them.
"""
