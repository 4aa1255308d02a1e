"""What one step is: batch, answer, objective, and the models that train by it."""
