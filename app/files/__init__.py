"""Files that others wrote: compressed streams, WARC records; and the cache's folder. No network, no hub, nothing of
requests.

Below `fetching`, since both use them: a batch's parent, and who fetches in a child.
"""
