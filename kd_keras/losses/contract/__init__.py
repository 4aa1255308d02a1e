"""What losses share: validation and reduction, softened outputs, features, relations, layers."""
