"""notify owns messages: who was told what, because of which rule and which event, and whether it was acknowledged.

It hears tasks, sla and directory. Whoever the RACI, a handoff, a conflict or a ladder concerns gets a message in the
inbox without anyone remembering to. Words are data in Chinese and English. A case of an import wakes nobody.
"""
