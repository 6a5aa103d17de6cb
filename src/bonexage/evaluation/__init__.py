"""How well a model reads many films: figures with intervals, pictures, and a page about them."""
