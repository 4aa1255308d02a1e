"""What one step of the Distiller is made of; nothing here is public but the errors it raises."""
