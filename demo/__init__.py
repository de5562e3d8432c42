"""What the demo plays: real input that ships with the project, and the organisation that receives it."""
