"""gateway: what came in from outside, in the system's own words.

Owns requests received and closed, watermarks of sources, deliveries of issue trackers. Hears nobody yet.
Doors: /events (CloudEvents over HTTP), /webhooks/jira, and the Kafka topic baton.inbound. What is accepted becomes a
fact; what is sent again is answered, not stored; what cannot be read is refused, or parked when it came by Kafka.
"""
