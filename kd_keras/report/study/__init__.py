"""What a person reads of a study."""
