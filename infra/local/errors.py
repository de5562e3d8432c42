"""What can go wrong with the platform; each says which part, what was found and the way out.

PlatformError
├── ArtifactRefused      a downloaded part is not the pinned one
├── PortBusy             somebody else listens on one of our ports
├── AlreadyUp            the state directory is in use by a running platform
├── NotUp                a verb needs a running platform
└── PartFailed           a part ended or did not become ready in time
"""


class PlatformError(Exception):
    """Base of everything that `baton up` and its kin refuse; the message is for people."""


class ArtifactRefused(PlatformError):
    pass


class PortBusy(PlatformError):
    pass


class AlreadyUp(PlatformError):
    pass


class NotUp(PlatformError):
    pass


class PartFailed(PlatformError):
    pass
