"""Documents of the database and the stores that read and write them."""
