"""directory: the organisation.

Owns departments, people, reporting lines, contacts and the decision board. Hears nobody.
Everybody else remembers what it said (libs.organisation) and never asks it.
"""
