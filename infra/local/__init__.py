"""A real Kafka, a real PostgreSQL and every service as ordinary processes, for people and for tests alike."""

from infra.local.errors import PlatformError
from infra.local.platform import Platform, project_root, state_dir

__all__ = ["Platform", "PlatformError", "project_root", "state_dir"]
