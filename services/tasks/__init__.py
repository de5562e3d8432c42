"""tasks: who holds a case, who is asked to take it, and who decides.

Owns process templates with their RACI, cases, steps, handoffs, consultations, conflicts and their rulings.
Hears gateway (requests from outside), directory (who may do what) and sla (due instants for the board).
Behaviour that differs between processes is a named function that a template chooses: `domain/choices.py`.
"""
