"""What things cost: prices as dated data, and where they are looked up."""
