"""The composite atlas: for each sex and age one plate, the median hand of many children."""
