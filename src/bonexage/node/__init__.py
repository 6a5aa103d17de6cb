"""Between the scanner and the archive: films come in over the network or a folder, results go out."""
