"""audit: the whole history of a case over all services, as of any moment.

Owns nothing but what it parked; hears everything that every owner says, also facts that no contract here names.
Tells who handed what to whom, when, why, and on what information; who held the case, for how long; what was breached.
"""
