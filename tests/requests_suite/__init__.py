"""requests' own tests, and users of requests, run on our transport. Nobody else's code lies here: it is fetched.

requirements.in, requirements.lock   what both need, at exact versions: an environment of its own, see environment
environment   builds that environment, and fetches the source distribution of the requests that we are locked to
run           in that environment, in a process of its own: patches, puts our transport in place, runs pytest
exclusions    which of requests' tests can't pass on it, each with its reason, proven by the run
users/        tests of ours with packages that sit on requests' adapters
"""
