"""What is decided: one base, one file for each family and its rules; a book comes in, orders go out."""
