"""An assessment becomes what a person or a program reads: text, tables, pictures, a page."""
