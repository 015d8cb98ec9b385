"""What is too long for a cell: the draw functions behind the chapters' widgets."""
