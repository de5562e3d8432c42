"""What audit says: nothing of its own yet; like every owner it says what it parked."""

from __future__ import annotations

from libs.events.contract import Contract

CONTRACT = Contract("audit", ())
