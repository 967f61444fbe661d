"""What to run: the configuration and the catalogues, checked and with their defaults."""
