"""Files that others wrote: compressed streams, WARC records. No network, no hub, nothing of requests.

Below `fetching`, since both read them: the sources in a batch's parent, and who processes a stored response in a child.
"""
